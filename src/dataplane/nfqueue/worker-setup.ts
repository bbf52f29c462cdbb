/** What a queue's worker is told at its start; its commands are those of judging/protocol.ts. */
import type { JudgingSetup } from '../../judging/protocol.ts';

/** As its workerData, with a CommandChannel. */
export interface WorkerSetup extends JudgingSetup {
  readonly queue: number;
  readonly failOpen: boolean;
  /** The mark's bit that an allowed packet gets. */
  readonly judgedBit: number;
  /** The mark's bit that asks the kernel to reject; 0 where denied packets are dropped. */
  readonly rejectBit: number;
  /**
   * One word: the descriptor of the queue's socket once it is bound. A descriptor outlives its thread, and the queue stays taken with it: whoever notices the
   * thread's end closes it, however the thread ended.
   */
  readonly socket: SharedArrayBuffer;
}

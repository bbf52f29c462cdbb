/** The setup of a queue's worker; its commands are in judging/protocol.ts. */
import type { JudgingSetup } from '../../judging/protocol.ts';

/** The worker's workerData, together with a CommandChannel. */
export interface WorkerSetup extends JudgingSetup {
  readonly queue: number;
  readonly failOpen: boolean;
  /** The mark bit that an allowed packet gets. */
  readonly judgedBit: number;
  /** The mark bit that asks the kernel to reject; 0 if denied packets are dropped. */
  readonly rejectBit: number;
  /**
   * One int32: the descriptor of the queue's socket once it is bound. A descriptor outlives its
   * thread and keeps the queue bound, so the main thread closes it when the thread has ended,
   * however it ended.
   */
  readonly socket: SharedArrayBuffer;
}

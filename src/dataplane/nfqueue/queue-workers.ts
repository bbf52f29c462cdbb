/** The threads of all queues, one each, as the main thread sees them. */
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { KernelQueue } from '../../agent-state/counters.ts';
import { JudgingThreads, type JudgingThreadsOptions } from '../../judging/judging-threads.ts';
import type { Command } from '../../judging/protocol.ts';
import { CommandedThread } from '../../sys/commanded-thread.ts';
import { close } from '../../sys/libc.ts';
import { BOUND_QUEUES, parseBoundQueues } from '../netlink/bound-queues.ts';
import type { WorkerSetup } from './worker-setup.ts';

export interface QueueWorkersOptions
  extends Omit<JudgingThreadsOptions, 'first'>,
    Pick<WorkerSetup, 'failOpen' | 'judgedBit' | 'rejectBit'> {
  /** Number of the first queue; the others follow, `count` in all. */
  readonly firstQueue: number;
  /** Calls `start` in the network namespace of the queues. @default that of the calling thread */
  readonly inNamespace?: <T>(start: () => T) => T;
}

export type { Command } from '../../judging/protocol.ts';

const PROGRAM = new URL(`./queue-worker${extname(import.meta.filename)}`, import.meta.url);

/** While a worker is gone, the packets of its queue are dropped, or pass under fail open. */
export class QueueWorkers extends JudgingThreads {
  readonly #first: number;
  readonly #count: number;

  /** Starts one thread a queue. None takes packets before `bind`. */
  constructor(options: QueueWorkersOptions, table: SharedArrayBuffer) {
    const { firstQueue, count, failOpen, judgedBit, rejectBit } = options;
    const { inNamespace = (start) => start() } = options;
    super({ ...options, first: firstQueue }, table, (queue, judging) => {
      const socket = new SharedArrayBuffer(4);
      const setup: WorkerSetup = { ...judging, queue, failOpen, judgedBit, rejectBit, socket };
      const name = `podfence-queue-${queue}`;
      return inNamespace(() => new CommandedThread<Command>(PROGRAM, name, setup, () => giveUp(socket)));
    });
    this.#first = firstQueue;
    this.#count = count;
  }

  /** The kernel's side of these queues, in the network namespace of the calling thread. */
  kernelQueues(): KernelQueue[] {
    const last = this.#first + this.#count;
    return parseBoundQueues(readFileSync(BOUND_QUEUES, 'utf8'))
      .filter(({ queue }) => queue >= this.#first && queue < last)
      .map(({ queue, waiting, droppedByKernel, droppedByUser }) => ({
        queue,
        waiting,
        droppedByKernel,
        droppedByUser,
      }));
  }
}

/** Closes the socket that the thread has left, and with it the queue. */
function giveUp(socket: SharedArrayBuffer): void {
  const fd = Atomics.load(new Int32Array(socket), 0);
  if (fd > 0) close(fd);
}

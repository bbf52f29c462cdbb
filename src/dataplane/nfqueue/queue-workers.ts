/**
 * The main thread's handle to the threads of all queues, one thread per queue. What a queue needs
 * is here; judging-threads.ts starts, commands and replaces the threads.
 */
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { KernelQueue } from '../../agent-state/counters.ts';
import { JudgingThreads, type JudgingThreadsOptions } from '../../judging/judging-threads.ts';
import type { Command } from '../../judging/protocol.ts';
import { BOUND_QUEUES, parseBoundQueues } from '../../netlink/bound-queues.ts';
import { CommandedThread } from '../../sys/commanded-thread.ts';
import { close } from '../../sys/libc.ts';
import type { WorkerSetup } from './worker-setup.ts';

export interface QueueWorkersOptions
  extends Omit<JudgingThreadsOptions, 'first'>,
    Pick<WorkerSetup, 'failOpen' | 'judgedBit' | 'rejectBit'> {
  /** Number of the first queue; the others follow, `count` in all. */
  readonly firstQueue: number;
  /** Calls `start` in the queues' network namespace. @default the calling thread's */
  readonly inNamespace?: <T>(start: () => T) => T;
}

export type { Command } from '../../judging/protocol.ts';

const PROGRAM = new URL(`./queue-worker${extname(import.meta.filename)}`, import.meta.url);

/** While a worker is gone, the packets of its queue are dropped, or pass under fail open. */
export class QueueWorkers extends JudgingThreads {
  readonly #first: number;
  readonly #count: number;

  /** Starts one thread per queue. None takes packets before `bind`. */
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

  /** Returns the kernel's counts for these queues, in the calling thread's network namespace. */
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

/** Closes the socket that an ended thread left open, and thereby gives up the queue. */
function giveUp(socket: SharedArrayBuffer): void {
  const fd = Atomics.load(new Int32Array(socket), 0);
  if (fd > 0) close(fd);
}

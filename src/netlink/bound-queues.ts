/**
 * Queues and NFLOG groups that processes have bound, as the kernel lists them for a network
 * namespace.
 */

/** The lists of the calling thread's network namespace. */
export const BOUND_QUEUES = '/proc/thread-self/net/netfilter/nfnetlink_queue';
export const BOUND_GROUPS = '/proc/thread-self/net/netfilter/nfnetlink_log';

export interface BoundQueue {
  readonly queue: number;
  /**
   * Netlink port of the reader. Do not take it for a process id: a containerized reader's may be
   * the id that the process has inside its container.
   */
  readonly port: number;
  /** Packets that wait now. */
  readonly waiting: number;
  /** Dropped because the queue was full. */
  readonly droppedByKernel: number;
  /** Dropped because the reader's buffer was full. */
  readonly droppedByUser: number;
}

/**
 * Parses BOUND_QUEUES, one line per queue: number, port, waiting, copy mode, copy range, dropped by
 * kernel, dropped by user, id, 1 (seq_show in the kernel's nfnetlink_queue.c).
 */
export function parseBoundQueues(text: string): BoundQueue[] {
  return linesOf(text, 8).map(([queue = 0, port = 0, waiting = 0, , , droppedByKernel = 0, droppedByUser = 0]) => ({
    queue,
    port,
    waiting,
    droppedByKernel,
    droppedByUser,
  }));
}

export interface BoundGroup {
  readonly group: number;
  /** See BoundQueue. */
  readonly port: number;
}

/**
 * Parses BOUND_GROUPS, one line per group: group, port and more (seq_show in the kernel's
 * nfnetlink_log.c).
 */
export function parseBoundGroups(text: string): BoundGroup[] {
  return linesOf(text, 2).map(([group = 0, port = 0]) => ({ group, port }));
}

/** Returns the numbers of each line that has at least `least` of them. */
function linesOf(text: string, least: number): number[][] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter((fields) => fields.length >= least);
}

/**
 * The kernel's counters for the queues of a node, whichever process answers them (seq_show in the
 * kernel's net/netfilter/nfnetlink_queue.c).
 */
import { readFileSync } from 'node:fs';
import type { Netns } from '../../src/sys/netns.ts';

export interface KernelQueues {
  /** Packets handed over, or waiting to be. */
  readonly answered: number;
  readonly dropped: number;
}

/** Returns the sum over all queues since they were bound. */
export function kernelQueues(netns: Netns): KernelQueues {
  const text = netns.run(() => readFileSync('/proc/thread-self/net/netfilter/nfnetlink_queue', 'utf8'));
  const queues = text.split('\n').flatMap((line) => {
    // Queue, its reader's port, waiting, copy mode, copy range, dropped by the full queue, dropped
    // by the full socket, number of the last packet.
    const fields = line.trim().split(/\s+/).map(Number);
    return fields.length < 8 ? [] : [fields];
  });
  const sum = (field: number) => queues.reduce((total, fields) => total + (fields[field] ?? 0), 0);
  const dropped = sum(5) + sum(6);
  return { answered: sum(7) - dropped, dropped };
}

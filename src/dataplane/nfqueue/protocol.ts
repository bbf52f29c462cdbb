/** What the main thread and a queue worker tell one another. */
import { REASONS } from '../../filter/reasons.ts';

/** Set-up of one worker thread, as its workerData. */
export interface WorkerSetup {
  readonly queue: number;
  /** Eventfd that the main thread writes to after a command. */
  readonly wake: number;
  readonly failOpen: boolean;
  /** The mark's bit that an allowed packet gets. */
  readonly judgedBit: number;
  /** Whether the kernel carries a flow with that bit on, so that the workers do not see it again. */
  readonly offload: boolean;
  /** The mark's bit that asks the kernel to reject; 0 where denied packets are dropped. */
  readonly rejectBit: number;
  readonly flowCapacity: number;
  readonly table: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** Words shared with the main thread; see CONTROL_ below. */
  readonly control: SharedArrayBuffer;
}

/** Index into the control words: how many commands were sent. A worker that has seen fewer reads its port before its next batch. */
export const CONTROL_SENT = 0;
export const CONTROL_WORDS = 1;

/** Int32s of one flow in a seed command: family, protocol, source (4), destination (4), source port, destination port, icmp type, revoked (0 | 1). */
export const SEED_WORDS = 14;

export type Command =
  /** Judge by this RuleTable from now on. */
  | { readonly type: 'table'; readonly table: SharedArrayBuffer }
  /** Know these flows, given in their opening direction. */
  | { readonly type: 'seed'; readonly flows: Int32Array }
  /** Let mid-stream packets of unknown flows pass for so many ms where a direction allows them; 0 ends it. */
  | { readonly type: 'adopt'; readonly milliseconds: number }
  | { readonly type: 'stop' };

export interface NumberedCommand {
  readonly number: number;
  readonly command: Command;
}

/** From the worker: `started` once its queue is bound, `done` for every command, in order. */
export type WorkerReport = { readonly type: 'started' } | { readonly type: 'done'; readonly number: number };

/**
 * Counters of one worker, float64 so that no count wraps: packets by direction and reason, then these. Only the worker writes them; a
 * reader sees each as it is, not all of one instant.
 */
const PER_DIRECTION = REASONS.length;
export const COUNTER_OFFLOADED = 2 * PER_DIRECTION;
export const COUNTER_BATCHES = COUNTER_OFFLOADED + 1;
export const COUNTER_UNANSWERED = COUNTER_OFFLOADED + 2;
export const COUNTER_FLOWS = COUNTER_OFFLOADED + 3;
export const COUNTERS = COUNTER_OFFLOADED + 4;

/** Index of the counter of packets in `direction` (0 egress, 1 ingress) with this reason. */
export function packetCounter(direction: number, reason: number): number {
  return direction * PER_DIRECTION + reason;
}

/** What the main thread and a queue worker tell one another. */
import type { GrowthAdoption } from '../../filter/adoption.ts';

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
  /** As counters.ts lays it out. */
  readonly counters: SharedArrayBuffer;
  /** Where flows are told of, as flow-events.ts lays it out; none where nobody asks. */
  readonly events: SharedArrayBuffer | undefined;
  /** Words shared with the main thread; see CONTROL_ below. */
  readonly control: SharedArrayBuffer;
}

/** Index into the control words: the number of the command that was sent last. A worker that has not carried it out reads its port before its next batch. */
export const CONTROL_SENT = 0;
/**
 * Index into the control words: the descriptor of the queue's socket once it is bound. A descriptor outlives its thread, and the queue stays taken with
 * it: whoever notices the thread's end closes it, however the thread ended.
 */
export const CONTROL_SOCKET = 1;
export const CONTROL_WORDS = 2;

/** Int32s of one flow in a seed command: family, protocol, source (4), destination (4), source port, destination port, icmp type, revoked (0 | 1). */
export const SEED_WORDS = 14;

export type Command =
  /** Judge by this RuleTable from now on. */
  | { readonly type: 'table'; readonly table: SharedArrayBuffer }
  /** Know these flows, given in their opening direction. */
  | { readonly type: 'seed'; readonly flows: Int32Array }
  /** Adopt connections of TCP and SCTP in the middle of which a packet comes, where a direction allows it, for so many ms. */
  | { readonly type: 'adopt-mid-stream'; readonly milliseconds: number }
  /** Adopt flows while the set of isolated addresses grows, until told that `nothing` more is to be, or at most for so many ms. */
  | { readonly type: 'adopt-while-growing'; readonly what: GrowthAdoption; readonly milliseconds: number }
  /** Judge all that is in the queue. */
  | { readonly type: 'drain' }
  /** Take packets from now on. Throws in the worker, which ends it, where the queue cannot be bound. */
  | { readonly type: 'bind' }
  | { readonly type: 'stop' };

export interface NumberedCommand {
  readonly number: number;
  readonly command: Command;
}

/** From the worker, for every command, in order: it was carried out. */
export interface WorkerReport {
  readonly done: number;
}

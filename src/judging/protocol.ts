/** What the main thread tells a thread that judges packets. */
import type { GrowthAdoption } from '../filter/adoption.ts';

/** What is shared with every thread that judges packets, in its workerData. */
export interface JudgingSetup {
  /** Flows that the thread knows at most. */
  readonly flowCapacity: number;
  /** Whether the kernel carries a flow on that passes, so that the thread does not see it again. */
  readonly offload: boolean;
  readonly table: SharedArrayBuffer;
  /** As counters.ts lays it out. */
  readonly counters: SharedArrayBuffer;
  /** Where flows are told of, as flows/flow-events.ts lays it out; none where nobody asks. */
  readonly events: SharedArrayBuffer | undefined;
}

/** Int32s of one flow in a seed command: family, protocol, source (4), destination (4), source port, destination port, icmp type, revoked (0 | 1). */
export const SEED_WORDS = 14;

export type Command =
  /** Judge by this RuleTable from now on. */
  | { readonly type: 'table'; readonly table: SharedArrayBuffer }
  /** Know these flows, given in their opening direction. */
  | { readonly type: 'seed'; readonly flows: Int32Array }
  /** Adopt connections of TCP and SCTP in the middle of which a packet comes, where a direction allows it, for so many ms. */
  | { readonly type: 'adopt-mid-stream'; readonly milliseconds: number }
  /** Adopt flows while the set of steered addresses grows, until told that `nothing` more is to be, or at most for so many ms. */
  | { readonly type: 'adopt-while-growing'; readonly what: GrowthAdoption; readonly milliseconds: number }
  /** Judge all that is in the queue. */
  | { readonly type: 'drain' }
  /** Take packets from now on. Throws in the worker, which ends it, where the queue cannot be bound. */
  | { readonly type: 'bind' }
  | { readonly type: 'stop' };

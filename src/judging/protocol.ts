/** Setup and commands that the main thread sends to a thread that judges packets. */
import type { GrowthAdoption } from '../filter/adoption.ts';

/** The part of workerData that all judging threads have in common. */
export interface JudgingSetup {
  /** Most flows that the thread tracks. */
  readonly flowCapacity: number;
  /** Whether the kernel carries an allowed flow, so that the thread does not see it again. */
  readonly offload: boolean;
  readonly table: SharedArrayBuffer;
  /** Layout: counters.ts. */
  readonly counters: SharedArrayBuffer;
  /**
   * Ring that flows are reported to (layout: flows/flow-events.ts); undefined if nothing reads it.
   */
  readonly events: SharedArrayBuffer | undefined;
}

/**
 * Int32s of one flow in a seed command: family, protocol, source (4), destination (4), source port,
 * destination port, icmp type, revoked (0 | 1).
 */
export const SEED_WORDS = 14;

export type Command =
  /** Judge by this RuleTable from now on. */
  | { readonly type: 'table'; readonly table: SharedArrayBuffer }
  /** Track these flows, given in their opening direction. */
  | { readonly type: 'seed'; readonly flows: Int32Array }
  /**
   * For this many ms, adopt a TCP or SCTP connection on a mid-stream packet if the policies would
   * let either side open it.
   */
  | { readonly type: 'adopt-mid-stream'; readonly milliseconds: number }
  /**
   * Adopt flows while the set of steered addresses grows: until a command with `nothing`, but for
   * this many ms at most.
   */
  | { readonly type: 'adopt-while-growing'; readonly what: GrowthAdoption; readonly milliseconds: number }
  /** Judge everything that is waiting now. */
  | { readonly type: 'drain' }
  /** Take packets from now on. A worker that cannot bind its queue throws and ends. */
  | { readonly type: 'bind' }
  | { readonly type: 'stop' };

/** What the agent does about forged source addresses: plain values for telemetry. */

/**
 *     drop          the kernel drops packets with forged sources
 *     allow         the setting `spoofing` is allow
 *     audit         audit mode drops nothing
 *     unsupported   this kernel or its tools cannot tell forged sources
 */
export type SpoofingState = 'drop' | 'allow' | 'audit' | 'unsupported';

export interface SpoofingStatus {
  readonly state: SpoofingState;
  /**
   * How many ranges of addresses the cluster's nodes give to pods, adjacent ones joined; undefined
   * while unknown.
   */
  readonly podRanges?: number;
  /** Dropped packets by the interface by which they came in. */
  readonly dropped: ReadonlyMap<string, number>;
  /** Why it is `unsupported`, or the rules are not all in place; undefined if all is well. */
  readonly problem?: string;
}

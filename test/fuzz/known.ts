/** Faults that are known and not mended yet. Their cases must go on showing them: whoever mends one takes its line away. */

export interface KnownFault {
  readonly target: string;
  /** Name of the case. */
  readonly name: string;
  readonly reason: string;
}

export const KNOWN: readonly KnownFault[] = [];

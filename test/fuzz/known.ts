/**
 * Known faults that are not fixed yet. Their cases must still show them: whoever fixes one removes
 * its line.
 */

export interface KnownFault {
  readonly target: string;
  /** Name of the case. */
  readonly name: string;
  readonly reason: string;
}

export const KNOWN: readonly KnownFault[] = [];

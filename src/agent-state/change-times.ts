/** How long one change, or several that came together, took to come into force. */
export interface ChangeTimes {
  /** Changed records. */
  readonly changes: number;
  /** Time to compile, in seconds. */
  readonly compile: number;
  /** From receiving the first of them until all are in force, in seconds. */
  readonly total: number;
}

/** How long one change, or several that came together, took to come into force. */
export interface ChangeTimes {
  /** Changed records. */
  readonly changes: number;
  /** Compiling, in seconds. */
  readonly compile: number;
  /** From when the first of them was received to in force, in seconds. */
  readonly total: number;
}

/** What the runner tells the thread of a target, and what it hears from it. */
import type { Fault } from './faults.ts';

export interface ToWorker {
  readonly name: string;
  readonly seed: number;
  /** Index of the first input. */
  readonly first: number;
  /** When to end, as Date.now() gives it. */
  readonly until: number;
  /** Signatures of faults that are known. */
  readonly ignored: readonly string[];
  /** Int32s: see CURRENT and INPUTS. */
  readonly progress: SharedArrayBuffer;
}

/** Its last message; before it comes 'started'. */
export interface FromWorker {
  readonly fault?: Fault;
  /** Megabytes that the run has kept, where that is too much. */
  readonly growth?: number;
}

/** Index of the input that runs now; -1 between runs. */
export const CURRENT = 0;
/** Inputs that have run. */
export const INPUTS = 1;

/** The messages between the runner and a target's thread. */
import type { Fault } from './faults.ts';

export interface ToWorker {
  readonly name: string;
  readonly seed: number;
  /** Index of the first input. */
  readonly first: number;
  /** When to end, in the time of Date.now(). */
  readonly until: number;
  /** Signatures of known faults. */
  readonly ignored: readonly string[];
  /** Int32 values: see CURRENT and INPUTS. */
  readonly progress: SharedArrayBuffer;
}

/** The thread's last message; 'started' comes before it. */
export interface FromWorker {
  readonly fault?: Fault;
  /** Megabytes that the run keeps, if that is too much. */
  readonly growth?: number;
}

/** Index of the current input; -1 between runs. */
export const CURRENT = 0;
/** Number of inputs that have run. */
export const INPUTS = 1;

/** Causes faults one after the other, chosen by a seed. */
import { Random } from '../fuzz/random.ts';
import { RANDOM_FAULTS } from './faults.ts';
import type { Outcome, Scene } from './scene.ts';

export interface RandomRun {
  readonly seed: number;
  readonly outcomes: readonly Outcome[];
  /** Resident memory of the agent after the first fault and at the end, in MB. */
  readonly memory: { readonly begin: number; readonly end: number };
}

export interface RandomOptions {
  readonly seed: number;
  /** No fault begins after this time. */
  readonly milliseconds: number;
  readonly signal?: AbortSignal;
  readonly tell?: (outcome: Outcome) => void;
}

/** How much the memory may grow, in MB. It includes memory that is not collected yet. */
const FLAT = 60;

/** Expects a running agent and open streams. */
export async function randomFaults(
  scene: Scene,
  { seed, milliseconds, signal, tell }: RandomOptions,
): Promise<RandomRun> {
  const random = new Random(seed, 0);
  const end = performance.now() + milliseconds;
  const outcomes: Outcome[] = [];
  let begin = Number.NaN;
  while (performance.now() < end && !signal?.aborted) {
    const outcome = await scene.meet(random.pick(RANDOM_FAULTS));
    outcomes.push(outcome);
    tell?.(outcome);
    if (outcomes.length === 1) begin = await scene.memory();
  }
  return { seed, outcomes, memory: { begin, end: await scene.memory() } };
}

export function isFlat({ memory }: RandomRun): boolean {
  return memory.end - memory.begin < FLAT;
}

export function summaryOf(run: RandomRun): string {
  const sum = (what: 'delivered' | 'broken') => run.outcomes.reduce((total, outcome) => total + outcome[what], 0);
  const { begin, end } = run.memory;
  const memory = `memory ${isFlat(run) ? 'flat' : 'GREW'} (${begin.toFixed(0)} to ${end.toFixed(0)} MB)`;
  return `${run.outcomes.length} faults, ${sum('delivered')} denied packets delivered, ${sum('broken')} allowed streams broken, ${memory}`;
}

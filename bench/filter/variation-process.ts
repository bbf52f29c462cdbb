/** Measures one variation, in its own process. */
import { inlineMore } from '../../src/sys/engine.ts';
import { allocatedPerMillion } from '../harness/allocation.ts';
import { answer } from '../harness/child.ts';
import { cpuRounds, type Rounds } from '../harness/cpu-time.ts';
import type { Scenario } from './scenario.ts';
import { type Kind, prepare } from './variations.ts';

export interface VariationInput extends Rounds {
  readonly kind: Kind;
  readonly scenario: Scenario;
  /** Whether to measure allocations, too. */
  readonly allocation: boolean;
}

export interface VariationAnswer {
  /** ns per packet, for each round. */
  readonly ns: readonly number[];
  /** Bytes that a million packets allocate, for each round; [] if not measured. */
  readonly allocated: readonly number[];
}

answer(({ kind, scenario, allocation, ...rounds }: VariationInput): VariationAnswer => {
  inlineMore();
  const steps = prepare(kind, scenario);
  const ns = cpuRounds(steps, rounds);
  return { ns, allocated: allocation ? allocatedPerMillion(steps) : [] };
});

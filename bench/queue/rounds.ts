/** Collects the values of all rounds, by measure and variant. */
import { type Curve, type MeasuredRow, row, single, total } from '../harness/result.ts';
import { cumulative } from '../harness/statistics.ts';

export interface Value {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  /** Its row is the sum of the rounds: a median would hide a loss in one round. */
  readonly counted?: true;
}

export interface Outcome {
  readonly values: readonly Value[];
  /** Microseconds, if the measure has a distribution. */
  readonly samples?: Float64Array;
  /** Exchanges without an answer, or failed connections. */
  readonly failed?: number;
}

export class Rounds {
  readonly #values = new Map<string, Omit<Value, 'name' | 'value'> & { readonly runs: number[] }>();
  readonly #samples = new Map<string, number[]>();

  /** Over all rounds, by measure and variant. */
  readonly #failures = new Map<string, Map<string, number>>();

  add(measure: string, variant: string, { values, samples, failed }: Outcome): void {
    if (failed !== undefined) this.#fail(measure, variant, failed);
    for (const { name, value, ...how } of values) {
      const key = rowName(name, variant);
      const known = this.#values.get(key);
      if (known === undefined) this.#values.set(key, { ...how, runs: [value] });
      else known.runs.push(value);
    }
    if (samples === undefined) return;
    const all = this.#samples.get(rowName(measure, variant)) ?? [];
    for (const sample of samples) all.push(sample);
    this.#samples.set(rowName(measure, variant), all);
  }

  rows(): MeasuredRow[] {
    return [...this.#values].map(([name, { unit, counted, runs }]) => (counted ? total : row)(name, unit, runs));
  }

  /**
   * Returns the exchanges without an answer: of all variants together, and of each variant that had
   * any.
   */
  failures(): MeasuredRow[] {
    return [...this.#failures].flatMap(([measure, byVariant]) => {
      const all = [...byVariant.values()].reduce((sum, each) => sum + each, 0);
      const some = [...byVariant].filter(([, count]) => count > 0);
      return [['all variants', all] as const, ...some].map(([variant, count]) =>
        single(rowName(`${measure}: without an answer`, variant), 'times', count),
      );
    });
  }

  #fail(measure: string, variant: string, failed: number): void {
    const byVariant = this.#failures.get(measure) ?? new Map<string, number>();
    byVariant.set(variant, (byVariant.get(variant) ?? 0) + failed);
    this.#failures.set(measure, byVariant);
  }

  has(variant: string): boolean {
    return [...this.#values.keys()].some((key) => key.endsWith(`, ${variant}`));
  }

  /** Returns one value per round, in order. @throws Error if there is none */
  runs(name: string, variant: string): readonly number[] {
    const known = this.#values.get(rowName(name, variant));
    if (known === undefined) throw new Error(`${rowName(name, variant)} was not measured`);
    return known.runs;
  }

  /**
   * Compares each round of one variant to the same round of the other, so that changes on the
   * machine affect both.
   */
  compare(
    name: string,
    [one, other]: readonly [string, string],
    how: (one: number, other: number) => number,
  ): number[] {
    const others = this.runs(name, other);
    return this.runs(name, one).map((value, round) => how(value, others[round] as number));
  }

  curve(measure: string, variant: string): Curve {
    const samples = this.#samples.get(rowName(measure, variant)) ?? [];
    return { name: rowName(measure, variant), x: `${measure}, us`, y: 'share', points: cumulative(samples) };
  }
}

export function rowName(name: string, variant: string): string {
  return `${name}, ${variant}`;
}

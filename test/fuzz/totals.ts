/** Sums of a run so far, in lines for people. */
import type { Outcome } from './runner.ts';

interface Sum {
  inputs: number;
  milliseconds: number;
  faults: number;
}

export class Totals {
  readonly #sums: ReadonlyMap<string, Sum>;
  readonly #since = Date.now();

  constructor(names: readonly string[]) {
    this.#sums = new Map(names.map((name) => [name, { inputs: 0, milliseconds: 0, faults: 0 }]));
  }

  get faults(): number {
    return [...this.#sums.values()].reduce((sum, { faults }) => sum + faults, 0);
  }

  /** Adds a target's turn; returns a line about it. */
  add(name: string, { inputs, milliseconds, fault }: Outcome): string {
    const sum = this.#sums.get(name);
    if (sum === undefined) throw new Error(`no target ${name}`);
    sum.inputs += inputs;
    sum.milliseconds += milliseconds;
    if (fault !== undefined) sum.faults++;
    const elapsed = ((Date.now() - this.#since) / 60_000).toFixed(1).padStart(5);
    return `${elapsed} min  ${name.padEnd(15)} ${rate({ inputs, milliseconds })}`;
  }

  summary(): string {
    const lines = [...this.#sums].map(([name, sum]) => {
      const found = sum.faults === 0 ? 'no fault' : `${sum.faults} turns with a fault`;
      return `  ${name.padEnd(15)} ${rate(sum)}  ${found}`;
    });
    const all = [...this.#sums.values()].reduce((count, { inputs }) => count + inputs, 0);
    return [`${all} inputs, ${this.faults === 0 ? 'no fault' : `${this.faults} turns with a fault`}`, ...lines].join(
      '\n',
    );
  }
}

function rate({ inputs, milliseconds }: Omit<Sum, 'faults'>): string {
  const each = milliseconds > 0 ? (inputs * 1000) / milliseconds : 0;
  return `${String(inputs).padStart(9)} inputs ${each.toFixed(0).padStart(7)}/s`;
}

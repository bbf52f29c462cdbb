/** A matrix with a row and a column for each namespace, for clusters that are too large to be read pod by pod. */
import type { MatrixEnd } from './ends.ts';
import { changeOf, type Reachability } from './reachability.ts';

const OUTSIDE_CLUSTER = 'outside the cluster';

/** What is between two sections. */
export interface SectionCounts {
  /** Ports of ends that some end of the other section can reach, or not, or in one address family only. */
  allow: number;
  deny: number;
  mixed: number;
  opened: number;
  closed: number;
}

/** The namespace of an end, or what all ends outside are called. */
export function sectionOf(end: MatrixEnd): string {
  return end.kind === 'pods' ? end.namespace : OUTSIDE_CLUSTER;
}

/** By `from to`, each a section; nothing where no cell is between them. */
export class SectionMatrix {
  readonly sections: readonly string[];
  readonly #counts = new Map<string, SectionCounts>();

  constructor(matrix: Reachability) {
    this.sections = [...new Set(matrix.ends.map(sectionOf))];
    for (const { from, to, cell } of matrix.cells()) {
      const key = `${sectionOf(from)} ${sectionOf(to)}`;
      const counts = this.#counts.get(key) ?? { allow: 0, deny: 0, mixed: 0, opened: 0, closed: 0 };
      this.#counts.set(key, counts);
      counts[cell.verdict]++;
      const change = changeOf(cell);
      if (change !== undefined) counts[change]++;
    }
  }

  counts(from: string, to: string): SectionCounts | undefined {
    return this.#counts.get(`${from} ${to}`);
  }
}

/** A matrix with a row and a column for each namespace, for clusters too large to read by pod. */
import type { MatrixEnd } from './ends.ts';
import { changeOf, type Reachability } from './reachability.ts';

const OUTSIDE_CLUSTER = 'outside the cluster';

/** Counts of the cells between two sections. */
export interface SectionCounts {
  /** Cells by verdict; `mixed` is allowed in one address family only. */
  allow: number;
  deny: number;
  mixed: number;
  opened: number;
  closed: number;
}

/** Returns the namespace of an end, or the title of all ends outside the cluster. */
export function sectionOf(end: MatrixEnd): string {
  return end.kind === 'pods' ? end.namespace : OUTSIDE_CLUSTER;
}

/** Counts for each pair of sections; none for a pair without a cell between them. */
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

/** The data that is embedded in a matrix's page. */

import type { Protocol } from '../../cluster/records.ts';
import type { Explanation } from '../../explain/explanation.ts';
import type { FlowEnd } from '../../explain/flow-end.ts';
import { sectionOf } from '../namespaces.ts';
import { portTitle } from '../ports.ts';
import { type Cell, changeOf, type PlacedCell, type Reachability } from '../reachability.ts';
import { InternedValues } from './interned.ts';

export interface PageData {
  /** Where the policies come from. */
  readonly title: string;
  readonly isComparison: boolean;
  readonly notes: readonly string[];
  readonly sections: readonly string[];
  readonly ends: readonly PageEnd[];
  /** One text for each sender: for each destination, separated by commas, letterOf each port. */
  readonly rows: readonly string[];
  /**
   * By `from to port`, three indexes: the Explanation, and after a change the one before, as
   * indexes into `values`.
   */
  readonly explanations: Readonly<Record<string, readonly number[]>>;
  /** See interned.ts. */
  readonly values: readonly unknown[];
}

export interface PageEnd {
  readonly name: string;
  /** Index into `sections`. */
  readonly section: number;
  /** Pods or addresses; the first one stands for all. */
  readonly members: readonly string[];
  readonly ports: readonly PagePort[];
}

export interface PagePort {
  readonly title: string;
  /** `9000/tcp` */
  readonly argument: string;
  readonly services: readonly string[];
}

type Explain = (from: FlowEnd, to: FlowEnd, protocol: Protocol, port: number) => Explanation;

export interface PageOptions {
  readonly title: string;
  readonly explain: Explain;
  /** Explains by the policies before the change. */
  readonly explainBefore?: Explain;
  /** The most explanations in the page; for other cells it shows the command. @default 10,000 */
  readonly mostExplanations?: number;
}

export function pageData(matrix: Reachability, options: PageOptions): PageData {
  const { ends, notes } = matrix;
  const sections = [...new Set(ends.map(sectionOf))];
  const rows = ends.map((_, from) =>
    ends.map((end, to) => end.ports.map((_, port) => letterOf(matrix.cell(from, to, port))).join('')).join(','),
  );
  return {
    title: options.title,
    isComparison: matrix.before !== undefined,
    notes,
    sections,
    ends: ends.map((end) => ({
      name: end.name,
      section: sections.indexOf(sectionOf(end)),
      members: end.kind === 'pods' ? end.pods : end.addresses,
      ports: end.ports.map((port) => ({
        title: portTitle(port),
        argument: `${port.port}/${port.protocol.toLowerCase()}`,
        services: port.services ?? [],
      })),
    })),
    rows,
    ...explained(matrix, options),
  };
}

/**
 * Returns the letter of a cell. Unchanged: a allowed, d denied, m mixed. Changed: o opened, c
 * closed, p mixed and more open than before, q mixed and less open.
 */
function letterOf(cell: Cell | undefined): string {
  if (cell === undefined) return '';
  const change = changeOf(cell);
  if (change === undefined) return cell.verdict.charAt(0);
  if (cell.verdict === 'mixed') return change === 'opened' ? 'p' : 'q';
  return change.charAt(0);
}

function explained(
  matrix: Reachability,
  { explain, explainBefore, mostExplanations = 10_000 }: PageOptions,
): Pick<PageData, 'explanations' | 'values'> {
  const interned = new InternedValues();
  const explanations: Record<string, readonly number[]> = {};
  for (const { port, cell, at } of mostTelling(matrix, mostExplanations)) {
    const flow = matrix.flow(...at);
    if (flow === undefined) continue;
    const by = (ask: Explain) => interned.add(ask(...flow, port.protocol, port.port));
    const before = explainBefore !== undefined && changeOf(cell) !== undefined ? [by(explainBefore)] : [];
    explanations[at.join(' ')] = [by(explain), ...before];
  }
  return { explanations, values: interned.values };
}

/** Returns changed cells first, then the less common verdict, then cells within a namespace. */
function mostTelling(matrix: Reachability, most: number): readonly PlacedCell[] {
  const cells = [...matrix.cells()];
  const allowed = cells.filter(({ cell }) => cell.verdict === 'allow').length;
  const usual = 2 * allowed > cells.length ? 'allow' : 'deny';
  const rank = ({ cell, from, to }: PlacedCell): number => {
    if (changeOf(cell) !== undefined) return 0;
    if (cell.verdict !== usual) return 1;
    return sectionOf(from) === sectionOf(to) ? 2 : 3;
  };
  const ranked = Map.groupBy(cells, rank);
  return [0, 1, 2, 3].flatMap((each) => ranked.get(each) ?? []).slice(0, most);
}

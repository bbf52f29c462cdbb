/** A matrix on the terminal. */
import { type Colour, paint } from '../../lab/paint.ts';
import type { MatrixEnd } from '../../matrix/ends.ts';
import { type SectionCounts, SectionMatrix, sectionOf } from '../../matrix/namespaces.ts';
import { type MatrixPort, portTitle } from '../../matrix/ports.ts';
import {
  type CellChange,
  type CellVerdict,
  changeOf,
  type PlacedCell,
  type Reachability,
} from '../../matrix/reachability.ts';
import { type CellLook, renderTable } from '../../matrix/table.ts';

export interface ReportOptions {
  /** Characters per line. */
  readonly width: number;
  readonly colour: boolean;
  /** Whether to show every end, however many there are. */
  readonly full: boolean;
}

/** More rows than these are shown by namespace. */
const MOST_ROWS = 60;
const MOST_CHANGES = 40;

type State = CellVerdict | CellChange | 'changed';

const CHANGES = {
  opened: { character: '+', style: 'red', meaning: 'opened' },
  closed: { character: '-', style: 'green', meaning: 'closed' },
  changed: { character: '±', style: 'yellow', meaning: 'some opened, some closed' },
} as const;

const LOOKS: Readonly<Record<State, CellLook<Colour>>> = {
  allow: { character: '●', style: 'green', meaning: 'allowed' },
  deny: { character: '·', style: 'dim', meaning: 'denied' },
  mixed: { character: '◐', style: 'yellow', meaning: 'allowed in one address family only' },
  ...CHANGES,
};

const NAMESPACE_LOOKS: Readonly<Record<State, CellLook<Colour>>> = {
  allow: { character: '●', style: 'green', meaning: 'everything allowed' },
  deny: { character: '·', style: 'dim', meaning: 'nothing allowed' },
  mixed: { character: '◐', style: 'yellow', meaning: 'something allowed' },
  ...CHANGES,
};

/** Returns the table, and notes on what is not in it. */
export function tableReport(matrix: Reachability, options: ReportOptions): string {
  const isByNamespace = matrix.ends.length > MOST_ROWS && !options.full;
  const table = isByNamespace ? namespaceTable(matrix, options) : endTable(matrix, options);
  const notes = matrix.notes.map((note) => `Not shown: ${note}.`);
  if (isByNamespace)
    notes.push(
      'By namespace, because there are many rows; --full shows every row, --html writes a page to look around in.',
    );
  return [table, ...notes.map((note) => `${note}\n`)].join(notes.length > 0 ? '\n' : '');
}

function endTable(matrix: Reachability, { width, colour }: ReportOptions): string {
  const { ends } = matrix;
  return renderTable<State, Colour>(
    {
      rows: ends.map((end, i) => ({ key: String(i), id: String(i + 1), section: sectionOf(end), name: labelOf(end) })),
      groups: ends.map((end, i) => ({
        key: String(i),
        id: String(i + 1),
        section: sectionOf(end),
        columns: end.ports.map(columnText),
      })),
      stateAt: (from, to, port) => {
        const cell = matrix.cell(Number(from), Number(to), port);
        return cell && (changeOf(cell) ?? cell.verdict);
      },
    },
    { width, looks: LOOKS, paint: (text, style) => paint(text, style, colour) },
  );
}

function namespaceTable(matrix: Reachability, { width, colour }: ReportOptions): string {
  const namespaces = new SectionMatrix(matrix);
  const rows = namespaces.sections.map((name, i) => ({ key: name, id: String(i + 1), section: 'namespaces', name }));
  return renderTable<State, Colour>(
    {
      rows,
      groups: rows.map((row) => ({ ...row, columns: [''] })),
      stateAt: (from, to) => stateOf(namespaces.counts(from, to)),
    },
    { width, looks: NAMESPACE_LOOKS, paint: (text, style) => paint(text, style, colour) },
  );
}

function stateOf(counts: SectionCounts | undefined): State | undefined {
  if (counts === undefined) return undefined;
  const { allow, deny, mixed, opened, closed } = counts;
  if (opened + closed > 0) return closed === 0 ? 'opened' : opened === 0 ? 'closed' : 'changed';
  return deny + mixed === 0 ? 'allow' : allow + mixed === 0 ? 'deny' : 'mixed';
}

/** `TCP 9000 (Service shop/backend:80)` */
function columnText(port: MatrixPort): string {
  const { services = [] } = port;
  return services.length === 0 ? portTitle(port) : `${portTitle(port)} (Service ${services.join(', ')})`;
}

/** Returns the name without the namespace, which is the title of its section. */
function labelOf(end: MatrixEnd): string {
  if (end.kind === 'addresses') return end.name;
  const name = end.name.slice(end.namespace.length + 1);
  return end.pods.length > 1 ? `${name} ×${end.pods.length}` : name;
}

/** Returns what a change opened and closed, one way per line, and how many of each. */
export function changesReport(matrix: Reachability, colour: boolean): string {
  const changed = { opened: [] as string[], closed: [] as string[] };
  let ways = 0;
  for (const placed of matrix.cells()) {
    ways++;
    const change = changeOf(placed.cell);
    if (change !== undefined) changed[change].push(flowText(placed));
  }
  const listed = (['opened', 'closed'] as const).flatMap((change) => [
    ...changed[change].slice(0, MOST_CHANGES).map((flow) => `${paint(change, LOOKS[change].style, colour)}  ${flow}`),
    ...(changed[change].length > MOST_CHANGES
      ? [`and ${changed[change].length - MOST_CHANGES} more ${change}; --json lists all`]
      : []),
  ]);
  const total = `${changed.opened.length} opened, ${changed.closed.length} closed, of ${ways} ways`;
  return [...listed, paint(total, 'bold', colour), ''].join('\n');
}

function flowText({ from, to, port, cell }: PlacedCell): string {
  const number = port.other ? 'other' : port.port;
  const family = cell.verdict === 'mixed' || cell.before === 'mixed' ? ' (in one address family)' : '';
  return `${from.name} -> ${to.name}:${number}/${port.protocol.toLowerCase()}${family}`;
}

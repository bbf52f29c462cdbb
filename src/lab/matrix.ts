/**
 * Probe results as a table for people: a row for each sender, a column for each port of each destination, one character a cell. Pods are
 * numbered, and a destination is headed by the number that its own row has, so the rows are the legend of the columns.
 *
 *     from            to  shop          services
 *                         1  2  3       S1
 *                         a  a  ab      a
 *     shop
 *       1 frontend-1         ●  ··      ●
 */
import type { ProbeResult } from './lab.ts';
import { type Placed, placeGroups, placeTexts, type TableGroup } from './matrix-layout.ts';
import { type Colour, paint } from './paint.ts';

const ROW_GAP = 2;
const LONGEST_NAME = 40;

interface Column {
  readonly port: number;
  readonly protocol: string;
  /** a, b, c, … within its destination. */
  readonly letter: string;
}

/** A destination with its columns. */
interface Group extends TableGroup {
  readonly to: string;
  readonly columns: readonly Column[];
}

type Cells = ReadonlyMap<string, readonly ProbeResult[]>;

interface Row {
  readonly from: string;
  readonly section: string;
  readonly label: string;
}

export interface MatrixOptions {
  /** Characters a line; wider tables are cut into several. */
  readonly width: number;
  readonly colour: boolean;
}

/** The table and its legend, each line ended. */
export function renderMatrix(results: readonly ProbeResult[], options: MatrixOptions): string {
  const ids = numberHosts(results);
  const rows = rowsOf(results, ids);
  const groups = groupsOf(results, ids);
  const cells = Map.groupBy(results, (result) => `${result.from} ${columnKey(result)}`);
  const labelWidth = Math.max(12, ...rows.map(({ label }) => label.length)) + ROW_GAP;
  const lines: string[] = [];
  for (const part of placeGroups(groups, options.width - labelWidth)) {
    if (lines.length > 0) lines.push('');
    lines.push(...header(part, options, labelWidth));
    for (const [i, row] of rows.entries()) {
      if (row.section !== rows[i - 1]?.section) lines.push(paint(row.section, 'bold', options.colour));
      const texts = part.map(({ at, item }) => ({ at, item: cellsOf(row, item, cells, options.colour) }));
      lines.push(`${row.label.padEnd(labelWidth)}${placeTexts(texts)}`.trimEnd());
    }
  }
  return [...lines, '', ...legend(groups, results, options), ''].join('\n');
}

/** What is in a cell: of one probe, or of several where the destination has several addresses or backends. */
export type Cell = 'allow' | 'deny' | 'mixed' | 'wrongly-allowed' | 'wrongly-denied';

export function cellOf(results: readonly ProbeResult[]): Cell {
  const wrong = results.filter(({ expected, observed }) => expected !== observed);
  if (wrong.some(({ observed }) => observed === 'allow')) return 'wrongly-allowed';
  if (wrong.length > 0) return 'wrongly-denied';
  const allowed = results.filter(({ observed }) => observed === 'allow').length;
  return allowed === results.length ? 'allow' : allowed === 0 ? 'deny' : 'mixed';
}

const CELLS: Readonly<Record<Cell, readonly [character: string, colour: Colour, meaning: string]>> = {
  allow: ['●', 'green', 'allowed'],
  deny: ['·', 'dim', 'denied'],
  mixed: ['◐', 'yellow', 'allowed to some addresses or backends'],
  'wrongly-allowed': ['A', 'alarm', 'ALLOWED though the policies deny it'],
  'wrongly-denied': ['D', 'alarm', 'DENIED though the policies allow it'],
};

const SERVICE = 'service/';
const OUTSIDE = 'outside the cluster';
const SERVICES = 'services';

function numberHosts(results: readonly ProbeResult[]): ReadonlyMap<string, string> {
  const pods = new Set(results.flatMap(({ from, to }) => [from, to]).filter(isPod));
  const services = new Set(results.map(({ to }) => to).filter((to) => to.startsWith(SERVICE)));
  return new Map([
    ...[...pods].sort(byName).map((pod, i) => [pod, String(i + 1)] as const),
    ...[...services].sort().map((service, i) => [service, `S${i + 1}`] as const),
  ]);
}

function isPod(name: string): boolean {
  return name.includes('/') && !name.startsWith(SERVICE);
}

/** By namespace, then by name with its numbers read as numbers. */
function byName(a: string, b: string): number {
  const [namespaceA = '', nameA = ''] = a.split('/');
  const [namespaceB = '', nameB = ''] = b.split('/');
  return namespaceA.localeCompare(namespaceB) || nameA.localeCompare(nameB, 'en', { numeric: true });
}

function rowsOf(results: readonly ProbeResult[], ids: ReadonlyMap<string, string>): readonly Row[] {
  const senders = [...new Set(results.map(({ from }) => from))];
  const digits = String(ids.size).length;
  const pods = senders.filter(isPod).sort(byName);
  const externals = senders.filter((sender) => !isPod(sender)).sort();
  return [
    ...pods.map((from) => {
      const [section = '', name = ''] = from.split('/');
      return { from, section, label: `  ${(ids.get(from) ?? '').padStart(digits)} ${shorten(name)}` };
    }),
    ...externals.map((from) => ({ from, section: OUTSIDE, label: `  ${' '.repeat(digits)} ${from}` })),
  ];
}

/** The ends of a generated name tell it from its siblings. */
function shorten(name: string): string {
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME - 9)}…${name.slice(-8)}`;
}

function groupsOf(results: readonly ProbeResult[], ids: ReadonlyMap<string, string>): readonly Group[] {
  const destinations = Map.groupBy(results, ({ to }) => to);
  return [...ids].flatMap(([to, id]) => {
    const probes = destinations.get(to);
    if (!probes) return [];
    const ports = new Map(probes.map((probe) => [columnKey(probe), probe]));
    const columns = [...ports.values()]
      .sort((a, b) => a.port - b.port || a.protocol.localeCompare(b.protocol))
      .map(({ port, protocol }, i) => ({ port, protocol, letter: letterOf(i) }));
    return { to, id, section: isPod(to) ? to.slice(0, to.indexOf('/')) : SERVICES, columns };
  });
}

function columnKey({ to, port, protocol }: { to: string; port: number; protocol: string }): string {
  return `${to} ${protocol} ${port}`;
}

function letterOf(index: number): string {
  return 'abcdefghijklmnopqrstuvwxyz'[index % 26] ?? '';
}

function header(part: readonly Placed<Group>[], { colour }: MatrixOptions, labelWidth: number): string[] {
  const indent = ' '.repeat(labelWidth);
  const sections = part.filter(({ item }, i) => part[i - 1]?.item.section !== item.section);
  const line = (items: readonly Placed<Group>[], text: (group: Group) => string) =>
    placeTexts(items.map(({ at, item }) => ({ at, item: text(item) })));
  const lettered = part.some(({ item }) => item.columns.length > 1);
  return [
    `${'from \\ to'.padEnd(labelWidth)}${paint(
      line(sections, ({ section }) => section),
      'bold',
      colour,
    )}`,
    `${indent}${line(part, ({ id }) => id)}`,
    ...(lettered
      ? [
          `${indent}${paint(
            line(part, ({ columns }) => columns.map(({ letter }) => letter).join('')),
            'dim',
            colour,
          )}`,
        ]
      : []),
  ];
}

function cellsOf(row: Row, { to, columns }: Group, cells: Cells, colour: boolean): string {
  return columns
    .map((column) => {
      const results = cells.get(`${row.from} ${columnKey({ to, port: column.port, protocol: column.protocol })}`);
      if (!results) return ' ';
      const [character, shade] = CELLS[cellOf(results)];
      return paint(character, shade, colour);
    })
    .join('');
}

function legend(groups: readonly Group[], results: readonly ProbeResult[], { colour }: MatrixOptions): string[] {
  const found = new Set(
    [...Map.groupBy(results, (result) => `${result.from} ${columnKey(result)}`).values()].map(cellOf),
  );
  const marks = (Object.keys(CELLS) as Cell[])
    .filter((cell) => found.has(cell))
    .map((cell) => {
      const [character, shade, meaning] = CELLS[cell];
      return `${paint(character, shade, colour)} ${meaning}`;
    });
  const byPorts = Map.groupBy(
    groups.filter(({ to }) => isPod(to)),
    ({ columns }) => portsText(columns),
  );
  const pods = [...byPorts].map(([ports, same]) => `  ${ranges(same.map(({ id }) => Number(id)))}: ${ports}`);
  const services = groups
    .filter(({ to }) => !isPod(to))
    .map(({ id, to, columns }) => `  ${id} ${to.slice(SERVICE.length)}: ${portsText(columns)}`);
  return [marks.join('   '), 'Ports', ...pods, ...services];
}

/** `1-3 5` for 1, 2, 3 and 5. */
function ranges(numbers: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run && run[1] === number - 1) run[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(' ');
}

function portsText(columns: readonly Column[]): string {
  const single = columns.length === 1;
  return columns.map(({ letter, protocol, port }) => `${single ? '' : `${letter} `}${protocol} ${port}`).join(', ');
}

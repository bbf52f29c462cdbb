/**
 * Who can reach whom, as a table for people: a row for each sender, a column for each port of each
 * destination, and one character for each cell. Rows are numbered. The number of a destination's
 * own row heads its columns, so the rows are the legend of the columns.
 *
 *     from \ to         shop         services
 *                       1  2  3      S1
 *                       a  a  ab     a
 *     shop
 *       1 frontend         ●  ··     ●
 */
import { type ColumnGroup, type Paint, type Placed, placeGroups, placeTexts, type StyledText } from './layout.ts';

const ROW_GAP = 2;
const NARROWEST_LABEL = 12;
const LONGEST_NAME = 40;

export interface TableRow {
  /** The argument of `stateAt`. */
  readonly key: string;
  /** The number of the row; empty if it is not a destination. */
  readonly id: string;
  readonly section: string;
  readonly name: string;
}

/** A destination. */
export interface TableGroup extends ColumnGroup {
  /** The argument of `stateAt`. */
  readonly key: string;
  /** Its name in the legend, if no row has its number. */
  readonly name?: string;
  /** Titles such as `TCP 80`; an empty one for a destination that is not split by ports. */
  readonly columns: readonly string[];
}

export interface CellLook<Style extends string> {
  readonly character: string;
  readonly style: Style;
  /** For the legend. */
  readonly meaning: string;
}

export interface TableContent<State extends string> {
  readonly rows: readonly TableRow[];
  readonly groups: readonly TableGroup[];
  /** Returns the state of a cell; undefined if it stays empty. */
  stateAt(row: string, group: string, column: number): State | undefined;
}

export interface TableOptions<State extends string, Style extends string> {
  /** Characters on a line; wider tables are split into several. */
  readonly width: number;
  /** In the order of the legend. */
  readonly looks: Readonly<Record<State, CellLook<Style>>>;
  readonly paint: Paint<Style | 'bold' | 'dim'>;
}

/** Returns the table and its legend. Each line ends with a newline. */
export function renderTable<State extends string, Style extends string>(
  content: TableContent<State>,
  options: TableOptions<State, Style>,
): string {
  const { rows, groups } = content;
  const digits = Math.max(1, ...rows.map(({ id }) => id.length));
  const labels = rows.map(({ id, name }) => `  ${id.padStart(digits)} ${shorten(name)}`);
  const labelWidth = Math.max(NARROWEST_LABEL, ...labels.map((label) => label.length)) + ROW_GAP;
  const found = new Set<State>();
  const lines: string[] = [];
  for (const part of placeGroups(groups, options.width - labelWidth)) {
    if (lines.length > 0) lines.push('');
    lines.push(...header(part, options.paint, labelWidth));
    for (const [i, row] of rows.entries()) {
      if (row.section !== rows[i - 1]?.section) lines.push(options.paint(row.section, 'bold'));
      const cells = part.flatMap(({ at, item }) =>
        item.columns.flatMap((_, column) => {
          const state = content.stateAt(row.key, item.key, column);
          if (state === undefined) return [];
          found.add(state);
          const { character, style } = options.looks[state];
          return { at: at + column, item: { text: character, style } };
        }),
      );
      lines.push(`${labels[i]?.padEnd(labelWidth)}${placeTexts(cells, options.paint)}`.trimEnd());
    }
  }
  const marks = (Object.keys(options.looks) as State[])
    .filter((state) => found.has(state))
    .map((state) => {
      const { character, style, meaning } = options.looks[state];
      return `${options.paint(character, style)} ${meaning}`;
    });
  return [...lines, '', marks.join('   '), ...portsLegend(groups), ''].join('\n');
}

/** Orders keys `namespace/name` by namespace, then by name; digits in them count as numbers. */
export function byNamespaceAndName(a: string, b: string): number {
  const [namespaceA = '', nameA = ''] = a.split('/');
  const [namespaceB = '', nameB = ''] = b.split('/');
  const compare = (left: string, right: string) => left.localeCompare(right, 'en', { numeric: true });
  return compare(namespaceA, namespaceB) || compare(nameA, nameB);
}

/** Cuts a long name in the middle: the end of a generated name tells it from its siblings. */
function shorten(name: string): string {
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME - 9)}…${name.slice(-8)}`;
}

function header(part: readonly Placed<TableGroup>[], paint: Paint<'bold' | 'dim'>, labelWidth: number): string[] {
  const indent = ' '.repeat(labelWidth);
  const sections = part.filter(({ item }, i) => part[i - 1]?.item.section !== item.section);
  const line = (items: readonly Placed<TableGroup>[], text: (group: TableGroup) => StyledText<'bold' | 'dim'>) =>
    placeTexts(
      items.map(({ at, item }) => ({ at, item: text(item) })),
      paint,
    );
  const lettered = part.some(({ item }) => item.columns.length > 1);
  return [
    `${'from \\ to'.padEnd(labelWidth)}${line(sections, ({ section }) => ({ text: section, style: 'bold' }))}`,
    `${indent}${line(part, ({ id }) => ({ text: id }))}`,
    ...(lettered
      ? [
          `${indent}${line(part, ({ columns }) => ({ text: columns.map((_, i) => letterOf(i)).join(''), style: 'dim' }))}`,
        ]
      : []),
  ];
}

/** Returns the letter of a column within its destination: a, b, c, … */
function letterOf(index: number): string {
  return 'abcdefghijklmnopqrstuvwxyz'[index % 26] ?? '';
}

/**
 * Numbered destinations share a line if their ports are the same; those with a name get one each.
 */
function portsLegend(groups: readonly TableGroup[]): string[] {
  const divided = groups.filter(({ columns }) => columns.some((column) => column !== ''));
  if (divided.length === 0) return [];
  const numbered = Map.groupBy(
    divided.filter(({ name }) => name === undefined),
    ({ columns }) => portsText(columns),
  );
  return [
    'Ports',
    ...[...numbered].map(([ports, same]) => `  ${ranges(same.map(({ id }) => Number(id)))}: ${ports}`),
    ...divided
      .filter(({ name }) => name !== undefined)
      .map(({ id, name, columns }) => `  ${id} ${name}: ${portsText(columns)}`),
  ];
}

/** Returns `1-3 5` for 1, 2, 3 and 5. */
function ranges(numbers: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run && run[1] === number - 1) run[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(' ');
}

function portsText(columns: readonly string[]): string {
  const single = columns.length === 1;
  return columns.map((column, i) => `${single ? '' : `${letterOf(i)} `}${column}`).join(', ');
}

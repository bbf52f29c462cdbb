import { describe, expect, it, test } from 'vitest';
import { FlowListing, type TableOutput } from '../../src/commands/shared/flow-listing.ts';
import type { FlowLine } from '../../src/flows/flow.ts';
import { flow } from '../flows/flows.ts';

/** An output that is no terminal. */
class Paper implements TableOutput {
  text = '';

  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

/** As much of a terminal as the table uses. */
class Terminal implements TableOutput {
  readonly isTTY = true;
  readonly columns: number;
  readonly rows: number;
  /** Every row written so far, including rows that have scrolled away. */
  readonly lines: string[] = [''];
  #at = 0;
  #column = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  write(text: string): boolean {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it parses control sequences
    for (const [token] of text.matchAll(/\x1b\[\d*[A-Za-z]|\n|[^\x1b\n]+/g)) this.#take(token);
    return true;
  }

  #take(token: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
    const [, count = '', command = ''] = /^\x1b\[(\d*)([A-Za-z])$/.exec(token) ?? [];
    if (token === '\n') this.#go(1);
    else if (command === 'F') this.#go(-Number(count));
    else if (command === 'E') this.#go(Number(count));
    else if (command === 'K') this.lines[this.#at] = (this.lines[this.#at] ?? '').slice(0, this.#column);
    else if (command === '') for (const character of token) this.#print(character);
  }

  /** Moves to the beginning of another row. */
  #go(rows: number): void {
    this.#at += rows;
    this.#column = 0;
    if (this.#at < this.lines.length - this.rows) throw new Error('above the top of the terminal');
    this.lines[this.#at] ??= '';
  }

  #print(character: string): void {
    if (this.#column === this.columns) this.#go(1);
    const row = this.lines[this.#at] ?? '';
    this.lines[this.#at] = row.slice(0, this.#column) + character + row.slice(this.#column + 1);
    this.#column++;
  }
}

function line(id: number, port: number, differences: Partial<FlowLine> = {}): FlowLine {
  const time = new Date().toISOString();
  return { ...flow(port), id, first: time, last: time, count: 1, sourcePort: 1, ...differences };
}

/** Returns the port and the count of each line. */
function shown(lines: readonly string[]): string[] {
  return lines.flatMap((each) => {
    const [, port, count] = /(\d+)\/tcp +\w+ +(\d+)/.exec(each) ?? [];
    return port === undefined ? [] : `${port} x${count}`;
  });
}

describe('a table of flows', () => {
  it('is written line by line if the output is no terminal; a line whose count has grown is written again', () => {
    const output = new Paper();
    const table = new FlowListing(output);
    table.add([line(1, 80), line(2, 81)]);
    table.add([line(1, 80, { count: 5 })]);
    expect(shown(output.text.split('\n'))).toEqual(['80 x1', '81 x1', '80 x5']);
    expect(output.text.match(/VERDICT/g)).toHaveLength(1);
    expect(output.text).not.toContain('\x1b');
  });

  it.each([200, 40])('updates lines in place on a terminal %i columns wide, and continues below', (columns) => {
    const terminal = new Terminal(columns, 20);
    const table = new FlowListing(terminal);
    table.add([line(1, 80), line(2, 81), line(3, 82)]);
    const rows = terminal.lines.length;
    table.add([line(1, 80, { count: 5 }), line(3, 82, { count: 7 })]);
    expect(terminal.lines).toHaveLength(rows);
    table.add([line(4, 83), line(2, 81, { count: 9 })]);
    const text = terminal.lines.map((each) => each.padEnd(columns)).join('');
    expect(shown(text.split('deny'))).toEqual(['80 x5', '81 x9', '82 x7', '83 x1']);
  });

  it.each([
    [200, 1],
    [40, 5],
  ])('leaves lines alone that have scrolled off a terminal %i columns wide', (columns, away) => {
    const terminal = new Terminal(columns, 5);
    const table = new FlowListing(terminal);
    table.add([1, 2, 3, 4, 5, 6].map((id) => line(id, id)));
    table.add([line(away, away, { count: 2 }), line(6, 6, { count: 3 })]);
    const text = terminal.lines.map((each) => each.padEnd(columns)).join('');
    const before = ['1 x1', '2 x1', '3 x1', '4 x1', '5 x1'];
    // The second line has pushed it off the screen, so it is written again.
    const last = columns === 200 ? ['6 x3', `${away} x2`] : ['6 x1', `${away} x2`, '6 x3'];
    expect(shown(text.split('deny'))).toEqual([...before, ...last]);
  });
});

test.each<[string, Partial<FlowLine>, RegExp]>([
  [
    'a denied flow by the policies that isolate',
    {},
    /deny +shop\/web +shop\/db +80\/tcp +ingress +1 +ingress-denied: shop\/db$/,
  ],
  [
    'an allowed one by the rules that allow it',
    {
      verdict: 'allow',
      reason: 'allowed-by-policy',
      policies: [{ direction: 'egress', namespace: 'a', name: 'b', rule: 3, field: 'spec.egress[2]' }],
    },
    / egress +1 +a\/b egress rule 3$/,
  ],
  [
    'an allowed one by every direction that decides',
    {
      verdict: 'allow',
      reason: 'allowed-by-policy',
      policies: (['egress', 'ingress', 'ingress'] as const).map((direction, i) => {
        return { direction, namespace: 'a', name: `p${i}`, rule: 1, field: `spec.${direction}[0]` };
      }),
    },
    / egress, ingress +1 +a\/p0/,
  ],
  ['one that no policy decided by its reason', { reason: 'mid-stream', policies: [] }, / mid-stream$/],
  [
    'an allowed one of pods that are not isolated without a direction',
    { verdict: 'allow', direction: 'egress', reason: 'not-isolated', policies: [] },
    /80\/tcp +- +1 +not-isolated$/,
  ],
  [
    'many policies by the first of them',
    {
      policies: ['a', 'b', 'c', 'd', 'e'].map((name) => ({
        direction: 'ingress',
        namespace: 'n',
        name,
        rule: null,
        field: null,
      })),
    },
    /ingress-denied: n\/a, n\/b, n\/c, 2 more$/,
  ],
  ['a protocol without ports', { protocol: 'ICMP', port: null }, / ICMP +ingress /],
  [
    'nodes and addresses',
    { from: { kind: 'node', name: 'n1', address: '10.0.0.9' }, to: { kind: 'address', address: '192.0.2.1' } },
    / node n1 +192\.0\.2\.1 /,
  ],
  ['a flow of today with the time', {}, /^\d\d:\d\d:\d\d {2}/],
  ['one of another day with its date', { last: '2020-05-05T12:00:00.000Z' }, /^2020-05-05 \d\d:\d\d:\d\d {2}/],
])('a line shows %s', (_, differences, expected) => {
  const output = new Paper();
  new FlowListing(output).add([line(1, 80, differences)]);
  expect(output.text.trimEnd().split('\n').at(-1)).toMatch(expected);
});

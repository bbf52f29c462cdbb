/**
 * Who reaches whom, written by hand and compared to real packets:
 *
 *                web:80   web:443   dns:53/UDP
 *     frontend   .        x         .
 *     web        -        -         .
 *     outside    x        x         x
 *
 * A row is a pod, or a host outside the cluster. A column is a port of a pod or, as
 * `service/web:80`, of a Service; with `@4` or `@6` it is probed over that family only. `.` is
 * reached, `x` is not, `-` cannot be probed. A name without a namespace is in `default`.
 */
import { expect } from 'vitest';
import type { Lab, ProbeResult } from '../../src/lab/lab.ts';

/**
 * How long nothing may arrive of what is denied, in ms. It is short, because a packet takes
 * microseconds and every matrix with a denial waits for it.
 */
const WATCH = 250;

interface Column {
  readonly text: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: string;
  readonly family: string | undefined;
}

/**
 * Probes every cell with real packets. The lab's expectation from the compiled policies must agree,
 * too.
 */
export async function expectReachability(lab: Lab, table: string): Promise<void> {
  const cells = parse(table);
  const results = await lab.probe((probe) => cells.some((cell) => concerns(cell, probe)), { watch: WATCH });
  const observed: Record<string, string> = {};
  const expected: Record<string, string> = {};
  const wanted: Record<string, string> = {};
  for (const cell of cells) {
    const key = `${cell.from} -> ${cell.column.text}`;
    const own = results.filter((result) => concerns(cell, result));
    wanted[key] = cell.verdict;
    observed[key] = summary(own.map((result) => result.observed));
    expected[key] = summary(own.map((result) => result.expected));
  }
  expect(observed, 'what the packets did').toEqual(wanted);
  expect(expected, 'what the lab expects').toEqual(wanted);
}

interface Cell {
  readonly from: string;
  readonly column: Column;
  readonly verdict: string;
}

const VERDICTS: Readonly<Record<string, string>> = { '.': 'allow', x: 'deny', '-': 'cannot be asked' };

function parse(table: string): readonly Cell[] {
  const [head = [], ...rows] = table
    .split('\n')
    .map((line) => line.trim().split(/\s+/).filter(Boolean))
    .filter((words) => words.length > 0);
  const columns = head.map(parseColumn);
  return rows.flatMap(([from = '', ...marks]) => {
    if (marks.length !== columns.length) throw new Error(`the row of ${from} has ${marks.length} cells`);
    return marks.map((mark, i) => {
      const verdict = VERDICTS[mark];
      if (verdict === undefined) throw new Error(`the row of ${from} has a cell ${mark}`);
      return { from, column: columns[i] as Column, verdict };
    });
  });
}

function parseColumn(text: string): Column {
  const groups = /^(?<to>\S+):(?<port>\d+)(?:\/(?<protocol>\w+))?(?:@(?<family>[46]))?$/.exec(text)?.groups;
  if (!groups) throw new Error(`not a column: ${text}`);
  const { to = '', port, protocol = 'TCP', family } = groups;
  const name = to.startsWith('service/') ? `service/${qualified(to.slice('service/'.length))}` : qualified(to);
  return { text, to: name, port: Number(port), protocol, family };
}

function qualified(name: string): string {
  return name.includes('/') ? name : `default/${name}`;
}

function concerns(
  { from, column }: Cell,
  probe: Pick<ProbeResult, 'from' | 'to' | 'port' | 'protocol' | 'address'>,
): boolean {
  const family = probe.address.includes(':') ? '6' : '4';
  return (
    (probe.from === from || probe.from === qualified(from)) &&
    probe.to === column.to &&
    probe.port === column.port &&
    probe.protocol === column.protocol &&
    (column.family ?? family) === family
  );
}

/**
 * A cell can stand for several probes: addresses of both families, backends of a Service. They must
 * agree.
 */
function summary(verdicts: readonly string[]): string {
  return [...new Set(verdicts)].sort().join(' and ') || 'cannot be asked';
}

/**
 * Who reaches whom in the applications of examples/, as data: each one's `truth-table.txt`. The
 * format is that of `podfence matrix --fail-on`, but every line is complete: one source, one
 * destination, one port, and the verdict.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Protocol } from '../../src/cluster/records.ts';
import { type Assertion, type EndPattern, parseAssertions } from '../../src/matrix/assertion.ts';

const EXAMPLES = resolve(import.meta.dirname, '..', '..', 'examples');
const TABLE = 'truth-table.txt';

/**
 * A workload (`shop/backend`) or, as a destination, a Service (`kube-system/kube-dns`); or an
 * address outside.
 */
export type End =
  | { readonly kind: 'workload'; readonly name: string }
  | { readonly kind: 'address'; readonly name: string };

export interface TruthRow {
  readonly from: End;
  readonly to: End;
  readonly port: number;
  readonly protocol: Protocol;
  readonly expected: 'allow' | 'deny';
  /** The line of the file, with single spaces. */
  readonly text: string;
  /** `truth-table.txt:7`, after the example's name. */
  readonly place: string;
}

export interface TruthTable {
  /** Name of the folder in examples/. */
  readonly example: string;
  readonly folder: string;
  /** The manifests that a cluster is to run, without stand-ins for parts of a cluster. */
  readonly application: string;
  readonly policies: readonly string[];
  readonly rows: readonly TruthRow[];
  /** Addresses outside the cluster that rows mention. */
  readonly outside: readonly string[];
}

/**
 * Returns the table of every example that has one. @throws Error with the place of each incomplete
 * line
 */
export function truthTables(): readonly TruthTable[] {
  return readdirSync(EXAMPLES)
    .filter((example) => existsSync(join(EXAMPLES, example, TABLE)))
    .map(readTable);
}

function readTable(example: string): TruthTable {
  const folder = join(EXAMPLES, example);
  const { assertions, problems } = parseAssertions(readFileSync(join(folder, TABLE), 'utf8'), `${example}/${TABLE}`);
  if (problems.length > 0) throw new Error(problems.map(({ title, message }) => `${title}: ${message}`).join('\n'));
  const rows = assertions.map(rowOf);
  const ends = rows.flatMap(({ from, to }) => [from, to]);
  const policies = readdirSync(join(folder, 'policies')).map((file) => join(folder, 'policies', file));
  const outside = [...new Set(ends.filter(({ kind }) => kind === 'address').map(({ name }) => name))];
  return { example, folder, application: join(folder, 'application.yaml'), policies, rows, outside };
}

function rowOf({ from, to, port, expected, place }: Assertion): TruthRow {
  if (port === undefined || !('first' in port) || port.first !== port.last) {
    throw new Error(`${place.title}: a truth table needs the number of one port`);
  }
  const text = place.text.replace(/\s+/g, ' ');
  const { first: number, protocol } = port;
  return { from: endOf(from, place), to: endOf(to, place), port: number, protocol, expected, text, place: place.title };
}

function endOf({ kind, text }: EndPattern, { title }: Assertion['place']): End {
  if (/[*?]/.test(text) || text === 'outside' || text.includes('/') !== (kind === 'pods')) {
    throw new Error(`${title}: a truth table needs one workload or one address, not ${text}`);
  }
  return { kind: kind === 'pods' ? 'workload' : 'address', name: text };
}

/** The applications of examples/, each with its table of who reaches whom. */
import { beforeAll, describe, expect, test } from 'vitest';
import { checkOnCluster, type OutsideHost } from '../examples/on-cluster.ts';
import { hostBehind } from '../examples/outside-host.ts';
import { type End, truthTables } from '../examples/truth-tables.ts';
import { Cluster } from './cluster.ts';
import { install } from './installation.ts';
import { Machine } from './machine.ts';
import { say } from './shell.ts';

const cluster = new Cluster();
const outside = new Map<string, OutsideHost>();

beforeAll(async () => {
  await install(cluster);
  const machine = Machine.of(cluster);
  if (machine === undefined) return;
  for (const address of new Set(truthTables().flatMap((table) => table.outside)))
    outside.set(address, hostBehind(await machine.outsideHost(address)));
});

describe('examples', () => {
  test.each(truthTables().map((table) => [table.example, table] as const))('%s', async (_, table) => {
    const results = await checkOnCluster(table, {
      kubectl: (args, input) => cluster.kubectl(args, { quiet: true, ...(input === undefined ? {} : { input }) }),
      image: cluster.target.image,
      outside,
      report: say,
    });
    const wrong = results.filter(({ outcome }) => outcome === 'otherwise' || outcome === 'not proved');
    expect(wrong.map(({ row, detail }) => `${row.place}: ${row.text}: ${detail}`)).toEqual([]);
    // CoreDNS cannot ask, and a Service's address is not for hosts outside. Without such hosts,
    // rows with them are not asked.
    const unasked = results.filter(({ outcome }) => outcome === 'not asked').map(({ row }) => row);
    if (unasked.length > 0) say(`${unasked.length} rows are not asked`);
    const isDns = ({ name }: End) => name === 'kube-system/kube-dns';
    const isOutside = ({ kind }: End) => kind === 'address';
    const expected = unasked.filter(
      ({ from, to }) =>
        isDns(from) || (isOutside(from) && isDns(to)) || (outside.size === 0 && (isOutside(from) || isOutside(to))),
    );
    expect(unasked.map(({ text }) => text)).toEqual(expected.map(({ text }) => text));
  });
});

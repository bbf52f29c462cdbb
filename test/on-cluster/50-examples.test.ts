/** The applications of examples/, each with its table of who reaches whom. */
import { beforeAll, describe, expect, test } from 'vitest';
import { checkOnCluster, type OutsideHost } from '../examples/on-cluster.ts';
import { hostBehind } from '../examples/outside-host.ts';
import { truthTables } from '../examples/truth-tables.ts';
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
    // Without hosts outside the cluster the rows about them are not asked, and that is said.
    const unasked = results.filter(({ outcome }) => outcome === 'not asked').length;
    if (unasked > 0) say(`${unasked} rows about hosts outside the cluster are not asked`);
    expect(unasked).toBeLessThan(outside.size === 0 ? results.length : 1);
  });
});

/** Nodes are watched like the other kinds, but nothing waits for them. */
import { describe, expect, it } from 'vitest';
import { node, pod } from './objects.ts';
import { until } from './until.ts';
import { configOf, startServer, WatchedCluster } from './watched-cluster.ts';

const FORBIDDEN = { status: 403, reason: 'Forbidden' };

describe.each(['served', 'refused'] as const)('with streaming lists %s', (streamingLists) => {
  it('tells all nodes at first and after each change', async () => {
    const server = await startServer({ streamingLists });
    server.set(node('a', ['10.244.0.0/24']));
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()), true);
    await cluster.watch.synced;
    await cluster.isWatching(server);
    const told = () => cluster.nodes.at(-1)?.map(({ name, podRanges }) => [name, ...podRanges]);
    expect(told()).toEqual([['a', '10.244.0.0/24']]);
    server.set(node('b', ['10.244.1.0/24']));
    await until('b is told', () => told()?.length === 2);
    server.delete('Node', undefined, 'a');
    await until('a is gone', () => told()?.length === 1);
    expect(told()).toEqual([['b', '10.244.1.0/24']]);
    expect(cluster.delivered).toEqual([]);
  });

  it('tells nothing of a heartbeat', async () => {
    const server = await startServer({ streamingLists });
    server.set(node('a', ['10.244.0.0/24']));
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()), true);
    await cluster.watch.synced;
    await cluster.isWatching(server);
    server.set({ ...node('a', ['10.244.0.0/24']), heartbeat: 1 });
    server.set(node('b'));
    await until('b is told', () => cluster.nodes.at(-1)?.length === 2);
    expect(cluster.nodes.length).toBe(2);
  });

  it('goes on without the right, says so once, and takes nodes when it has the right', async () => {
    const server = await startServer({ streamingLists });
    server.set(node('a', ['10.244.0.0/24']));
    server.fail({ kind: 'Node', answer: FORBIDDEN, times: 12 });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()), true);
    await cluster.watch.synced;
    server.set(pod('default', 'web'));
    await cluster.isDelivered('set Pod default/web');
    expect(cluster.nodes).toEqual([]);
    for (let failures = 1; failures <= 12; failures++) {
      await until(`${failures} failed`, () => cluster.status('Node').restarts.forbidden === failures);
      cluster.clock.advance(60_000);
    }
    await until('nodes are told', () => cluster.nodes.length > 0);
    expect(server.faultsLeft()).toBe(0);
    const warnings = cluster.log.filter(({ level, kind }) => level >= 40 && kind === 'Node');
    expect(warnings.map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/forbids to list and watch nodes.*rbac\.yaml/),
    ]);
    expect(cluster.watch.status().kinds.at(-1)).toMatchObject({ kind: 'Node', synced: true, records: 1 });
  });

  it('counts the age of what policies need alone', async () => {
    const server = await startServer({ streamingLists });
    server.fail({ kind: 'Node', answer: FORBIDDEN, times: 1000 });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()), true);
    await cluster.watch.synced;
    await until('a list of nodes is forbidden', () => cluster.status('Node').lastError?.code === 'forbidden');
    expect(cluster.status('Node').synced).toBe(false);
    expect(cluster.watch.status()).toMatchObject({ synced: true, age: 0 });
  });
});

it('asks for no nodes unless somebody wants them', async () => {
  const server = await startServer();
  const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
  await cluster.watch.synced;
  expect(server.requests(undefined, 'Node')).toEqual([]);
  expect(cluster.watch.status().kinds.map(({ kind }) => kind)).toEqual(['Namespace', 'Pod', 'NetworkPolicy']);
});

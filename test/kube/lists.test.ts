import { describe, expect, it } from 'vitest';
import { pod } from './objects.ts';
import { population } from './population.ts';
import { until } from './until.ts';
import { configOf, startServer, WatchedCluster, watchCluster } from './watched-cluster.ts';

async function serverWithPods(pods: number, options = {}) {
  const server = await startServer({ streamingLists: 'refused', ...options });
  for (const object of population({ pods, podBytes: 1000 })) server.set(object);
  return server;
}

describe('a paged list', () => {
  it('has pages of five hundred, over one connection', async () => {
    const server = await serverWithPods(1200);
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    await cluster.watch.synced;
    expect(cluster.pods()).toHaveLength(1200);
    const pages = server.requests('list', 'Pod');
    expect(pages.map(({ query }) => [query.limit, query.continue !== undefined])).toEqual([
      ['500', false],
      ['500', true],
      ['500', true],
    ]);
    expect(new Set(pages.map(({ clientPort }) => clientPort)).size).toBe(1);
  });

  it('is read compressed if the server compresses', async () => {
    const server = await serverWithPods(1200, { compressFrom: 1 });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    await cluster.watch.synced;
    expect(cluster.pods()).toHaveLength(1200);
  });

  it.each(['cut', 'half', { status: 500 }, { body: '<html>' }] as const)(
    'retries only the page that failed (%j)',
    async (answer) => {
      const server = await serverWithPods(1200);
      server.fail({ type: 'list', kind: 'Pod', skip: 1, times: 3, answer });
      const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
      for (const delay of [250, 500, 1000]) await cluster.clock.elapse(delay);
      await cluster.watch.synced;
      expect(cluster.pods()).toHaveLength(1200);
      const positions = server.requests('list', 'Pod').map(({ query }) => JSON.parse(query.continue ?? '{}').from);
      expect(positions).toEqual([undefined, 500, 500, 500, 500, 1000]);
    },
  );

  it('is read again in one piece if its continue token has expired', async () => {
    const server = await serverWithPods(1200);
    server.fail({ type: 'list', kind: 'Pod', skip: 1, answer: { status: 410 } });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    await cluster.watch.synced;
    expect(cluster.pods()).toHaveLength(1200);
    expect(server.requests('list', 'Pod').map(({ query }) => query.limit)).toEqual(['500', '500', undefined]);
  });

  it('is restarted if its continue token is refused again and again', async () => {
    const server = await serverWithPods(1200);
    server.fail({ type: 'list', kind: 'Pod', skip: 1, times: 6, answer: { status: 400 } });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    for (const delay of [250, 500, 1000, 2000, 4000, 8000]) await cluster.clock.elapse(delay);
    await cluster.watch.synced;
    expect(cluster.pods()).toHaveLength(1200);
    const continues = server.requests('list', 'Pod').map(({ query }) => query.continue !== undefined);
    expect(continues).toEqual([false, ...Array(6).fill(true), false]);
  });

  it('is given up after a pause of a minute', async () => {
    const server = await serverWithPods(1);
    server.fail({ type: 'list', kind: 'Pod', answer: 'pause' });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    await until('the others watch', () => cluster.watch.status().kinds.filter(({ watching }) => watching).length === 2);
    await cluster.clock.elapse(60_000);
    await cluster.clock.elapse(250);
    await cluster.watch.synced;
    expect(cluster.status().restarts.inactive).toBe(1);
  });
});

describe('a streaming list', () => {
  it('is the watch too: one request a kind', async () => {
    const server = await startServer();
    await watchCluster(server);
    expect(server.requests().map(({ type }) => type)).toEqual(['streaming-list', 'streaming-list', 'streaming-list']);
    expect(server.requests()[0]?.query).toMatchObject({
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: 'true',
    });
  });

  it('that is refused is tried again after an hour, and not before', async () => {
    const server = await startServer({ streamingLists: 'refused' });
    const cluster = await watchCluster(server);
    const relist = async (lists: number) => {
      for (const watch of server.watches('Pod')) watch.freeze();
      server.set(pod('default', `pod-${lists}`));
      server.compact();
      cluster.clock.advance(6000);
      for (const watch of server.watches('Pod')) watch.cut();
      await cluster.clock.elapse(250);
      await until('it is listed again', () => cluster.status().lists === lists);
    };
    server.serveStreamingLists('served');
    await relist(2);
    expect(server.requests('streaming-list', 'Pod')).toHaveLength(1);
    await cluster.isWatching(server);
    for (let minute = 0; minute < 60; minute++) {
      cluster.clock.advance(60_000);
      server.bookmark();
      await until('bookmarks came', () => cluster.watch.status().age === 0);
    }
    await relist(3);
    expect(server.requests('streaming-list', 'Pod')).toHaveLength(2);
    expect(server.requests('list', 'Pod')).toHaveLength(2);
  });

  it('that the server takes for a watch is replaced by pages at its first bookmark', async () => {
    const server = await startServer({ streamingLists: 'ignored' });
    server.set(pod('default', 'web'));
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    await until('three watches are open', () => server.watches().length === 3);
    expect(cluster.watch.status().synced).toBe(false);
    server.bookmark();
    await cluster.watch.synced;
    expect(cluster.pods()).toEqual(['web']);
    expect(server.requests('list')).toHaveLength(3);
  });

  it('that breaks off leaves nothing behind', async () => {
    const server = await startServer();
    server.set(pod('default', 'kept'));
    server.set(pod('default', 'gone'));
    const cluster = await watchCluster(server);
    for (const watch of server.watches('Pod')) watch.freeze();
    server.delete('Pod', 'default', 'gone');
    server.compact();
    const line = JSON.stringify({ type: 'ADDED', object: pod('default', 'half') });
    server.fail({
      type: 'streaming-list',
      kind: 'Pod',
      answer: { body: `${line.replace('"name"', '"resourceVersion":"1","name"')}\n` },
    });
    for (const watch of server.watches('Pod')) watch.cut();
    await cluster.clock.elapse(250);
    await until('it broke off', () => cluster.status().restarts.ended === 1);
    expect(cluster.pods()).toEqual(['kept', 'gone']);
    expect(cluster.batches).toEqual([]);
    await cluster.clock.elapse(1000);
    await cluster.isDelivered('delete Pod default/gone');
    expect(cluster.delivered).toEqual(['delete Pod default/gone']);
  });

  it('returns the last state of objects that change before its end', async () => {
    const server = await startServer({ streamingLists: 'ignored' });
    server.set(pod('default', 'deleted'));
    server.set(pod('default', 'changed', { ip: '10.0.0.1' }));
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    await until('three watches are open', () => server.watches().length === 3);
    server.delete('Pod', 'default', 'deleted');
    server.set(pod('default', 'changed', { ip: '10.0.0.2' }));
    for (const watch of server.watches()) watch.bookmark(server.history.version, true);
    await cluster.watch.synced;
    expect(cluster.watch.snapshot().pods).toMatchObject([{ name: 'changed', addresses: ['10.0.0.2'] }]);
  });
});

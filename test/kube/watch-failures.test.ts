import { describe, expect, it } from 'vitest';
import { pod } from './objects.ts';
import { until } from './until.ts';
import { startServer, watchCluster } from './watched-cluster.ts';

describe('a watch that breaks', () => {
  it('resumes from the last event, after a short wait', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    const version = server.set(pod('default', 'before'));
    await cluster.isDelivered('set Pod default/before');
    for (const watch of server.watches('Pod')) watch.cut();
    await until('it waits', () => cluster.clock.running.includes(250));
    server.set(pod('default', 'meanwhile'));
    await cluster.clock.elapse(250);
    await cluster.isDelivered('set Pod default/meanwhile');
    expect(server.requests('watch', 'Pod').map(({ query }) => query.resourceVersion)).toEqual([version]);
    expect(cluster.status()).toMatchObject({
      lists: 1,
      restarts: { connection: 1 },
      lastError: { code: 'connection' },
    });
  });

  it('resumes from the last bookmark if nothing happened since', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    const version = server.set(pod('default', 'web'));
    server.bookmark();
    await until('the bookmark came', () => cluster.status('Namespace').resourceVersion === version);
    server.compact();
    for (const watch of server.watches('Namespace')) watch.cut();
    await cluster.clock.elapse(250);
    await cluster.isWatching(server);
    expect(server.requests('watch', 'Namespace')[0]?.query.resourceVersion).toBe(version);
    expect(cluster.status('Namespace')).toMatchObject({ lists: 1, restarts: { expired: 0 } });
  });

  it('asks the server to end it after five to ten minutes, and to send bookmarks', async () => {
    const server = await startServer({ streamingLists: 'refused' });
    await watchCluster(server);
    expect(server.requests('watch')).toHaveLength(3);
    for (const { query } of server.requests('watch')) {
      expect(query).toMatchObject({ timeoutSeconds: '450', allowWatchBookmarks: 'true' });
    }
  });

  it('resumes at once when the server ends it properly', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    cluster.clock.advance(60_000);
    for (const watch of server.watches()) watch.end();
    await until('three watches begin', () => server.requests('watch').length === 3);
    expect(cluster.status()).toMatchObject({ restarts: { ended: 1 }, lastError: undefined });
  });

  it('does not flood a server that ends each watch at once', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    for (const delay of [250, 500, 1000]) {
      for (const watch of server.watches('Pod')) watch.end();
      await cluster.clock.elapse(delay);
      await until('a watch is open', () => cluster.status().watching);
    }
    expect(cluster.status().restarts.ended).toBe(3);
  });

  it('is renewed, without a failure, as long as there are neither events nor bookmarks', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    const version = cluster.status().resourceVersion;
    const from = cluster.log.length;
    for (let round = 1; round <= 10; round++) {
      cluster.clock.advance(79_000);
      expect(cluster.status().lastEventAge).toBe(79_000);
      cluster.clock.advance(1000);
      await until('each is asked for anew', () => server.requests('watch').length === 3 * round);
      await cluster.isWatching(server);
    }
    expect(server.requests('watch', 'Pod').every(({ query }) => query.resourceVersion === version)).toBe(true);
    expect(cluster.watch.status().age).toBe(0);
    expect(cluster.status()).toMatchObject({ lists: 1, restarts: { quiet: 10, inactive: 0 }, lastError: undefined });
    expect(cluster.log.slice(from).filter(({ level }) => level > 20)).toEqual([]);
  });

  it('that is half-open is replaced, and nothing is missed', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    for (const watch of server.watches('Pod')) watch.freeze();
    server.set(pod('default', 'unseen'));
    cluster.clock.advance(80_000);
    await cluster.isDelivered('set Pod default/unseen');
  });

  it('of a server that died silently is noticed within two minutes and logged once, as is its return', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    server.fail({ kind: 'Pod', times: 2, answer: 'hang' });
    const told = () =>
      cluster.log.filter(({ level, kind, msg }) => level > 20 && kind === 'Pod' && msg !== 'list complete');
    cluster.clock.advance(80_000);
    await until('each is asked for anew', () => server.requests('watch').length === 3);
    await until('the others watch', () => cluster.watch.status().kinds.filter(({ watching }) => watching).length === 2);
    cluster.clock.advance(25_000);
    await until('it is noticed', () => cluster.status().restarts.inactive === 1);
    expect(cluster.status()).toMatchObject({ watching: false, lastError: { code: 'inactive' } });
    await cluster.clock.elapse(250);
    await until('it is asked for again', () => server.requests('watch', 'Pod').length === 2);
    await cluster.clock.elapse(25_000);
    await cluster.clock.elapse(500);
    await cluster.isWatching(server);
    cluster.clock.advance(4999);
    expect(told()).toMatchObject([{ level: 40, reason: 'inactive', retryInSeconds: 0.25 }]);
    cluster.clock.advance(1);
    const back = { level: 30, msg: 'watching the API server again', outageSeconds: 26 };
    expect(told().slice(1)).toMatchObject([back]);
    for (const asked of [4, 5]) {
      cluster.clock.advance(80_000);
      await until('it is asked for anew', () => server.requests('watch', 'Pod').length === asked);
      await cluster.isWatching(server);
    }
    expect(told()).toHaveLength(2);
  });

  it('is not given up as long as bookmarks come', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    for (let minute = 0; minute < 10; minute++) {
      cluster.clock.advance(60_000);
      server.bookmark();
      await until('bookmarks came', () => cluster.watch.status().age === 0);
    }
    expect(cluster.status().restarts.inactive).toBe(0);
    expect(server.requests('watch')).toHaveLength(0);
  });

  it.each([
    ['in the middle of a line', (raw: (text: string) => void) => raw('{"type":"ADDED","obj'), 'the middle of a line'],
    ['with a line that is no JSON', (raw: (text: string) => void) => raw('<html>502</html>\n'), 'not JSON'],
    ['with a line that is no event', (raw: (text: string) => void) => raw('[1,2]\n'), 'not an event'],
    [
      'with an event without a version',
      (raw: (text: string) => void) => raw('{"type":"ADDED","object":{}}\n'),
      'no resourceVersion',
    ],
    ['with a line that does not end', (raw: (text: string) => void) => raw('x'.repeat(9 * 1024 * 1024)), 'longer than'],
  ])('that ends %s resumes from the last event', async (_, spoil, message) => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    const [watch] = server.watches('Pod');
    spoil((text) => watch?.raw(text));
    watch?.end();
    await until('it is noticed', () => cluster.status().restarts.malformed === 1);
    expect(cluster.status().lastError?.message).toContain(message);
    server.set(pod('default', 'after'));
    await cluster.clock.elapse(250);
    await cluster.isDelivered('set Pod default/after');
    expect(cluster.status().lists).toBe(1);
  });

  it('that breaks again and again, though the server answers, starts over with a new list', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    server.fail({ type: 'watch', kind: 'Pod', times: 5, answer: { body: 'garbage\n' } });
    for (const watch of server.watches('Pod')) watch.end();
    for (const delay of [250, 500, 1000, 2000, 4000, 8000]) await cluster.clock.elapse(delay);
    await until('it is listed again', () => cluster.status().lists === 2);
    expect(cluster.batches).toEqual([]);
  });

  it('waits longer each time, up to thirty seconds, and starts short again after a healthy time', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    server.fail({ kind: 'Pod', times: 9, answer: 'cut' });
    const [watch] = server.watches('Pod');
    watch?.cut();
    for (const delay of [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]) {
      await cluster.clock.elapse(delay);
    }
    await until('it watches again', () => cluster.status().watching && server.watches('Pod').length === 1);
    cluster.clock.advance(5000);
    server.watches('Pod')[0]?.cut();
    await cluster.clock.elapse(250);
    await until('it watches again', () => cluster.status().watching);
  });

  it('with an error other than 410 resumes from the last event', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    server.watches('Pod')[0]?.error(500, 'InternalError');
    await until('it is noticed', () => cluster.status().restarts['server-error'] === 1);
    await cluster.clock.elapse(250);
    await cluster.isWatching(server);
    expect(cluster.status().lists).toBe(1);
  });
});

describe('expired history (410)', () => {
  it.each(['status', 'event'] as const)('as %s: a new list, and only the differences are delivered', async (goneAs) => {
    const server = await startServer({ goneAs });
    for (const name of ['same', 'changed', 'deleted']) server.set(pod('default', name, { ip: '10.0.0.1' }));
    const cluster = await watchCluster(server);
    for (const watch of server.watches('Pod')) watch.freeze();
    server.set(pod('default', 'changed', { ip: '10.0.0.9' }));
    server.set(pod('default', 'added', { ip: '10.0.0.1' }));
    server.delete('Pod', 'default', 'deleted');
    server.compact();
    for (const watch of server.watches('Pod')) watch.cut();
    await cluster.clock.elapse(250);
    await cluster.isDelivered('delete Pod default/deleted');
    expect(cluster.batches).toHaveLength(1);
    expect(cluster.batches[0]?.[0]).toBe('delete Pod default/deleted');
    expect(cluster.batches[0]?.slice(1).sort()).toEqual(['set Pod default/added', 'set Pod default/changed']);
    expect(cluster.status()).toMatchObject({ synced: true, lists: 2, restarts: { expired: 1 } });
  });

  it('a list that breaks in the middle changes nothing', async () => {
    const server = await startServer({ streamingLists: 'refused' });
    server.set(pod('default', 'kept'));
    server.set(pod('default', 'gone'));
    const cluster = await watchCluster(server);
    for (const watch of server.watches('Pod')) watch.freeze();
    server.delete('Pod', 'default', 'gone');
    server.compact();
    server.fail({ type: 'list', kind: 'Pod', answer: 'half' });
    for (const watch of server.watches('Pod')) watch.cut();
    await cluster.clock.elapse(250);
    await until('the list breaks', () => cluster.status().restarts.connection === 2);
    expect(cluster.pods()).toEqual(['kept', 'gone']);
    await cluster.clock.elapse(250);
    await cluster.isDelivered('delete Pod default/gone');
    expect(cluster.delivered).toEqual(['delete Pod default/gone']);
  });

  it('again and again does not cause list after list', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    server.fail({ type: 'watch', kind: 'Pod', times: 4, answer: { status: 410 } });
    server.fail({ type: 'streaming-list', kind: 'Pod', times: 3, answer: { status: 410 } });
    cluster.clock.advance(10_000);
    server.watches('Pod')[0]?.end();
    // The first list is requested at once, later ones after growing waits.
    for (const delay of [500, 1000]) await cluster.clock.elapse(delay);
    await until('it counts them', () => cluster.status().restarts.expired >= 3);
  });

  it('a version from the future, after a restore of the storage, needs a new list', async () => {
    const server = await startServer();
    server.set(pod('default', 'web'));
    const cluster = await watchCluster(server);
    server.history.rewind(500);
    server.delete('Pod', 'default', 'web');
    for (const watch of server.watches('Pod')) watch.cut();
    await cluster.clock.elapse(250);
    await until('it is listed again', () => cluster.status().lists === 2);
    expect(cluster.status().restarts.expired).toBe(1);
    expect(cluster.pods()).toEqual([]);
  });
});

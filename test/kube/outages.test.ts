import { describe, expect, it } from 'vitest';
import { pod } from './objects.ts';
import { until } from './until.ts';
import { configOf, startServer, WatchedCluster, watchCluster } from './watched-cluster.ts';

describe('a server in trouble', () => {
  it('is left alone for as long as it asks', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    server.fail({ kind: 'Pod', type: 'watch', answer: { status: 429, retryAfter: 7 } });
    server.watches('Pod')[0]?.cut();
    await cluster.clock.elapse(250);
    // Seven seconds, plus a jitter of up to a fifth.
    await cluster.clock.elapse(7700);
    await cluster.isWatching(server);
    expect(cluster.status().restarts.overloaded).toBe(1);
  });

  it('with a burst of errors at the first list is retried until it answers', async () => {
    const server = await startServer();
    server.set(pod('default', 'web'));
    server.fail({ kind: 'Pod', times: 4, answer: { status: 503 } });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    for (const delay of [250, 500, 1000, 2000]) await cluster.clock.elapse(delay);
    await cluster.watch.synced;
    expect(cluster.pods()).toEqual(['web']);
  });

  it('that does not know a collection is not flooded with requests', async () => {
    const server = await startServer();
    server.fail({ kind: 'NetworkPolicy', times: 4, answer: { status: 404 } });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    // The streaming list is refused, and pages are requested at once.
    for (const delay of [250, 500, 1000]) await cluster.clock.elapse(delay);
    await cluster.watch.synced;
    expect(server.requests(undefined, 'NetworkPolicy').filter(({ type }) => type !== 'watch')).toHaveLength(5);
  });

  it('that forbids a request is logged, and asked again', async () => {
    const server = await startServer();
    server.fail({ kind: 'NetworkPolicy', answer: { status: 403, reason: 'Forbidden' } });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    await cluster.clock.elapse(250);
    await cluster.watch.synced;
    expect(cluster.log.find(({ level }) => level === 40)).toMatchObject({
      kind: 'NetworkPolicy',
      reason: 'forbidden',
      error: 'HTTP 403 Forbidden: Forbidden, says the test',
    });
  });

  it.each([
    '{}',
    '<html></html>',
    '{"kind":"PodList","items":[]}',
    '{"kind":"Table","metadata":{"resourceVersion":"9"},"items":[]}',
    '{"kind":"PodList","metadata":{"resourceVersion":"9"},"items":[1]}',
  ])('that answers a list with %s does not delete everything', async (body) => {
    const server = await startServer({ streamingLists: 'refused' });
    server.set(pod('default', 'web'));
    const cluster = await watchCluster(server);
    server.set(pod('default', 'new'));
    await cluster.isDelivered('set Pod default/new');
    for (const watch of server.watches('Pod')) watch.freeze();
    server.set(pod('default', 'newer'));
    server.compact();
    server.fail({ type: 'list', kind: 'Pod', answer: { body } });
    server.watches('Pod')[0]?.cut();
    await cluster.clock.elapse(250);
    await until('it is noticed', () => cluster.status().restarts.malformed === 1);
    expect(cluster.pods()).toEqual(['web', 'new']);
    await cluster.clock.elapse(250);
    await cluster.isDelivered('set Pod default/newer');
  });

  it('gone for an hour changes nothing, and is found when it is back', async () => {
    const server = await startServer();
    server.set(pod('default', 'web'));
    const cluster = await watchCluster(server);
    const { port } = server;
    await server.stop();
    const startedAt = cluster.clock.now();
    // An attempt in progress has a timer too, of 25 s.
    const allWait = () => cluster.clock.running.length === 3 && !cluster.clock.running.includes(25_000);
    while (cluster.clock.now() - startedAt < 3_600_000) {
      await until('all three wait', allWait);
      cluster.clock.advance(Math.min(...cluster.clock.running));
    }
    expect(cluster.batches).toEqual([]);
    expect(cluster.pods()).toEqual(['web']);
    expect(cluster.watch.status()).toMatchObject({ synced: true });
    expect(cluster.watch.status().age).toBeGreaterThanOrEqual(3_600_000);
    expect(cluster.status()).toMatchObject({ watching: false, lastError: { code: 'connection' } });
    const warnings = cluster.log.filter(({ level, kind }) => level === 40 && kind === 'Pod');
    expect(warnings.length).toBeLessThan(20);

    await until('all three wait', allWait);
    await server.listen(port);
    server.set(pod('default', 'new'));
    cluster.clock.advance(30_000);
    await cluster.isDelivered('set Pod default/new');
    expect(cluster.delivered).toEqual(['set Pod default/new']);
    server.bookmark();
    await until('all three are up to date', () => cluster.watch.status().age === 0);
  });
});

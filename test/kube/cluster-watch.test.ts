import { describe, expect, it } from 'vitest';
import { namespace, pod, policy } from './objects.ts';
import { until } from './until.ts';
import { configOf, startServer, WatchedCluster, watchCluster } from './watched-cluster.ts';

describe.each(['served', 'refused'] as const)('with streaming lists %s', (streamingLists) => {
  it('returns a snapshot of the whole cluster, as records', async () => {
    const server = await startServer({ streamingLists });
    server.set(namespace('team', { env: 'prod' }));
    server.set(
      pod('team', 'web', { ip: '10.0.0.1', labels: { app: 'web' }, ports: [{ name: 'http', containerPort: 80 }] }),
    );
    server.set(policy('team', 'deny', { podSelector: {}, policyTypes: ['Ingress'] }));

    const { watch } = new WatchedCluster(() => configOf(server.kubeConfig()));
    await watch.synced;

    const { namespaces, pods, policies } = watch.snapshot();
    expect(namespaces.map(({ name, labels }) => [name, labels.env])).toEqual([
      ['default', undefined],
      ['team', 'prod'],
    ]);
    expect(pods).toEqual([
      {
        kind: 'Pod',
        namespace: 'team',
        name: 'web',
        phase: 'Running',
        labels: { app: 'web' },
        nodeName: 'node-1',
        addresses: ['10.0.0.1'],
        hostNetwork: false,
        ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
      },
    ]);
    expect(policies.map(({ name, isolates, error }) => [name, isolates, error])).toEqual([
      ['deny', ['ingress'], undefined],
    ]);
  });

  it('delivers sets and deletes after the lists', async () => {
    const server = await startServer({ streamingLists });
    server.set(pod('default', 'old'));
    const cluster = await watchCluster(server);

    server.set(namespace('team'));
    server.set(pod('team', 'new'));
    server.set(policy('team', 'deny'));
    server.delete('Pod', 'default', 'old');

    await cluster.isDelivered(
      'set Namespace team',
      'set Pod team/new',
      'set NetworkPolicy team/deny',
      'delete Pod default/old',
    );
    expect(cluster.pods()).toEqual(['new']);
  });

  it('misses nothing between a list and its watch', async () => {
    const server = await startServer({ streamingLists });
    server.set(pod('default', 'gone'));
    // The first watch after the list of pods is refused; a streaming list is cut after its end.
    // Meanwhile the cluster changes.
    server.fail({ kind: 'Pod', type: 'watch', answer: 'cut' });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    await cluster.watch.synced;
    for (const watch of server.watches('Pod')) watch.cut();
    await until('the watch is lost', () => cluster.status().restarts.connection === 1);
    server.delete('Pod', 'default', 'gone');
    server.set(pod('default', 'new'));
    await cluster.clock.elapse(250);
    if (streamingLists === 'served') await cluster.clock.elapse(500);
    await until('the new pod is known', () => cluster.pods().includes('new'));
    expect(cluster.pods()).toEqual(['new']);
  });
});

describe('changes that are fetched later', () => {
  it('are announced once and delivered as one batch, at most one change a record', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    cluster.held = [];
    server.set(pod('default', 'web'));
    await until('the first change is told of', () => cluster.held?.length === 1);
    server.set(pod('default', 'passing'));
    server.set(pod('default', 'web', { labels: { app: 'web' } }));
    server.set(pod('default', 'db'));
    await until('the last pod is known', () => cluster.pods().includes('db'));
    server.delete('Pod', 'default', 'passing');
    await until('it is gone', () => !cluster.pods().includes('passing'));
    expect(cluster.held).toHaveLength(1);
    for (const deliver of cluster.held) deliver();
    expect(cluster.batches).toEqual([['set Pod default/web', 'set Pod default/db']]);
    cluster.held = undefined;
    server.set(namespace('team'));
    await cluster.isDelivered('set Namespace team');
  });
});

describe('a baseline', () => {
  it('is what changes are relative to, also the end of what came after the lists and before it', async () => {
    const server = await startServer();
    server.set(pod('default', 'web'));
    const cluster = await watchCluster(server);
    cluster.held = [];
    server.set(pod('default', 'passing'));
    server.set(pod('default', 'web', { labels: { app: 'other' } }));
    const labelled = () => cluster.watch.snapshot().pods.some(({ labels }) => labels.app === 'other');
    await until('both are known', () => labelled() && cluster.held?.length === 1);
    const { pods } = cluster.watch.baseline();
    expect(pods.map(({ name }) => name).sort()).toEqual(['passing', 'web']);
    server.delete('Pod', 'default', 'passing');
    server.set(pod('default', 'web'));
    server.set(pod('default', 'last'));
    await until('the last pod is known', () => cluster.pods().includes('last'));
    for (const deliver of cluster.held) deliver();
    expect(cluster.batches).toEqual([['delete Pod default/passing', 'set Pod default/web', 'set Pod default/last']]);
    cluster.held = undefined;
  });
});

describe('before the first lists are complete', () => {
  it.each(['Namespace', 'Pod', 'NetworkPolicy'] as const)('nothing is delivered without the %s list', async (kind) => {
    const server = await startServer();
    server.set(pod('default', 'web'));
    server.fail({ kind, answer: 'hang' });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    let synced = false;
    cluster.watch.synced.then(() => {
      synced = true;
    });
    await until('two kinds watch', () => cluster.watch.status().kinds.filter(({ watching }) => watching).length === 2);
    // These arrive over watches that are open already.
    server.set(pod('default', 'later'));
    server.set(namespace('later'));
    server.set(policy('default', 'later'));
    await until('they came', () => {
      const { pods, namespaces, policies } = cluster.watch.snapshot();
      return (
        [pods, namespaces, policies].filter((records) => records.some(({ name }) => name === 'later')).length === 2
      );
    });
    expect(synced).toBe(false);
    expect(cluster.watch.status()).toMatchObject({ synced: false, age: undefined });

    // The server answers the next attempt.
    await cluster.clock.elapse(75_000);
    await cluster.clock.elapse(250);
    await cluster.watch.synced;

    expect(cluster.batches).toEqual([]);
    expect(cluster.pods()).toEqual(['web', 'later']);
    expect(cluster.watch.status().synced).toBe(true);
  });

  it('a stop rejects the promise of the first lists', async () => {
    const server = await startServer();
    server.fail({ times: 3, answer: 'hang' });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    await until('they are asked for', () => server.requests().length === 3);
    const { synced } = cluster.watch;
    await cluster.watch.stop();
    await expect(synced).rejects.toThrow('stopped before');
  });
});

describe('a delivery', () => {
  it('keeps together what arrived together', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    // Use up the watch's turn.
    const end = performance.now() + 6;
    while (performance.now() < end);
    const lines = ['a', 'b', 'c'].map((name, index) => {
      const { metadata, ...rest } = pod('default', name);
      return JSON.stringify({
        type: 'ADDED',
        object: { ...rest, metadata: { ...metadata, resourceVersion: `${2000 + index}` } },
      });
    });
    server.watches('Pod')[0]?.raw(`${lines.join('\n')}\n`);
    await cluster.isDelivered('set Pod default/c');
    expect(cluster.batches).toEqual([['set Pod default/a', 'set Pod default/b', 'set Pod default/c']]);
  });

  it('has deletes first, and one change a record', async () => {
    const server = await startServer();
    server.set(pod('default', 'old', { ip: '10.0.0.1' }));
    const cluster = await watchCluster(server);
    const event = (type: string, name: string, version: number, shape = {}) => {
      const { metadata, ...rest } = pod('default', name, shape);
      return JSON.stringify({ type, object: { ...rest, metadata: { ...metadata, resourceVersion: String(version) } } });
    };
    const lines = [
      event('ADDED', 'new', 2000, { labels: { step: '1' } }),
      event('ADDED', 'short', 2001),
      event('MODIFIED', 'new', 2002, { ip: '10.0.0.1', labels: { step: '2' } }),
      event('DELETED', 'short', 2003),
      event('DELETED', 'old', 2004, { ip: '10.0.0.1' }),
    ];
    server.watches('Pod')[0]?.raw(`${lines.join('\n')}\n`);
    await cluster.isDelivered('set Pod default/new');
    expect(cluster.batches).toEqual([['delete Pod default/old', 'set Pod default/new']]);
    expect(cluster.changes[1]?.record).toMatchObject({ labels: { step: '2' } });
  });

  it('leaves out what does not concern packets', async () => {
    const server = await startServer();
    server.set(pod('default', 'web', { ip: '10.0.0.1' }));
    const cluster = await watchCluster(server);
    server.set(pod('default', 'web', { ip: '10.0.0.1', annotations: { checked: 'now' } }));
    server.set(pod('default', 'other'));
    await cluster.isDelivered('set Pod default/other');
    expect(cluster.delivered).toEqual(['set Pod default/other']);
  });

  it('says when its first event was read', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    cluster.clock.advance(1234);
    server.set(pod('default', 'web'));
    await cluster.isDelivered('set Pod default/web');
    expect(cluster.receivedAt).toEqual([1234]);
  });
});

describe('stop', () => {
  it('closes every connection and timer, and delivers nothing more', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    await cluster.watch.stop();
    expect(cluster.clock.running).toEqual([]);
    await until('no connection is open', () => server.connections === 0);
    server.set(pod('default', 'late'));
    expect(cluster.batches).toEqual([]);
    expect(cluster.pods()).toEqual([]);
  });

  it('closes idle connections', async () => {
    const server = await startServer({ streamingLists: 'refused' });
    server.fail({ type: 'watch', times: 3, answer: { status: 500 } });
    const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
    await until('all wait', () => cluster.clock.running.filter((duration) => duration === 250).length === 3);
    expect(server.connections).toBeGreaterThan(0);
    await cluster.watch.stop();
    await until('no connection is open', () => server.connections === 0);
  });

  it('ends a wait between two attempts', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    server.fail({ kind: 'Pod', times: 100, answer: 'cut' });
    for (const watch of server.watches('Pod')) watch.cut();
    await until('it waits', () => cluster.clock.running.includes(250));
    await cluster.watch.stop();
    expect(cluster.clock.running).toEqual([]);
  });

  it('cancels a pending delivery', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    server.set(pod('default', 'web'));
    await until('the pod is known', () => cluster.pods().includes('web') || cluster.delivered.length > 0);
    const before = cluster.batches.length;
    await cluster.watch.stop();
    expect(cluster.batches.length).toBe(before);
  });
});

describe('objects that cannot be read', () => {
  it('a policy isolates its pods and allows nothing', async () => {
    const server = await startServer();
    server.set(policy('default', 'broken', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ form: [] }] }));
    const cluster = await watchCluster(server);
    const [record] = cluster.watch.snapshot().policies;
    expect(record).toMatchObject({ name: 'broken', podSelector: { matchLabels: { app: 'db' } }, ingress: [] });
    expect(record?.error).toContain('spec.ingress[0].form');
    expect(cluster.status('NetworkPolicy').unreadable).toBe(1);
    expect(cluster.log.filter(({ level }) => level === 40)).toMatchObject([
      { kind: 'NetworkPolicy', object: 'default/broken', problems: 1 },
    ]);
  });

  it('a pod without a usable name is left out and counted', async () => {
    const server = await startServer();
    server.set(pod('default', 'NOT A NAME!'));
    server.set(pod('default', 'web'));
    const cluster = await watchCluster(server);
    expect(cluster.pods()).toEqual(['web']);
    expect(cluster.status()).toMatchObject({ unreadable: 1, records: 1 });
    expect(cluster.log.some(({ level, kind }) => level === 40 && kind === 'Pod')).toBe(true);
  });

  it('do not flood the log', async () => {
    const server = await startServer();
    const cluster = await watchCluster(server);
    for (let index = 0; index < 50; index++) server.set(pod('default', `NOT A NAME ${index}!`));
    await until('all were counted', () => cluster.status().unreadable === 50);
    expect(cluster.log.filter(({ level }) => level === 40)).toHaveLength(20);
    cluster.clock.advance(10 * 60_000);
  });
});

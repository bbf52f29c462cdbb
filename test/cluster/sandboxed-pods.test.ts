/** Pods whose addresses come from the container runtime and everything else from the API server. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type PodRecord, recordKey } from '../../src/cluster/records.ts';
import { type Sandbox, SandboxedPods } from '../../src/cluster/sandboxed-pods.ts';
import { type ClusterChange, ClusterStore } from '../../src/cluster/store.ts';

const HERE = 'node-1';
const START = 1_000;

/** A SandboxedPods, and the pods that whoever applies its changes knows. */
class World {
  readonly pods = new SandboxedPods(HERE);
  readonly #store = new ClusterStore();

  api(type: ClusterChange['type'], record: PodRecord): void {
    this.#store.apply(this.pods.merge([{ type, record }]));
  }

  take(): void {
    this.#store.apply(this.pods.take());
  }

  get records(): readonly PodRecord[] {
    this.take();
    return this.#store.snapshot().pods;
  }
}

function pod(uid: string, more: Partial<PodRecord> = {}): PodRecord {
  return {
    ...{ kind: 'Pod', namespace: 'shop', name: 'db-0', uid, created: START, phase: 'Pending' },
    ...{ labels: { app: 'db' }, nodeName: HERE, addresses: [], hostNetwork: false },
    ...{ ports: [{ name: 'sql', port: 5432, protocol: 'TCP' }] },
    ...more,
  };
}

function sandbox(uid: string, address: string, id = `sandbox-of-${uid}`): Sandbox {
  return { id, uid, namespace: 'shop', name: 'db-0', labels: { app: 'old' }, addresses: [address] };
}

/** The life of a pod as the API server tells it, in order. */
function apiLife(uid: string, address: string): readonly ((world: World) => void)[] {
  const running = pod(uid, { phase: 'Running', addresses: [address], startedAt: START });
  return [
    (world) => world.api('set', pod(uid)),
    (world) => world.api('set', pod(uid, { unready: true })),
    (world) => world.api('set', running),
    (world) => world.api('delete', running),
  ];
}

/** The same as the runtime tells it. */
function runtimeLife(uid: string, address: string): readonly ((world: World) => void)[] {
  return [
    (world) => world.pods.started(sandbox(uid, address), START),
    (world) => world.pods.stopped(sandbox(uid, address)),
  ];
}

/** Every way to mix two sequences, each in its order. */
function* mixtures<T>(a: readonly T[], b: readonly T[]): Iterable<readonly T[]> {
  const [first, ...restOfA] = a;
  const [other, ...restOfB] = b;
  if (first === undefined || other === undefined) return yield [...a, ...b];
  for (const rest of mixtures(restOfA, b)) yield [first, ...rest];
  for (const rest of mixtures(a, restOfB)) yield [other, ...rest];
}

describe('whatever the order in which the API server and the runtime report a pod', () => {
  const [bound, pending, running, deleted] = apiLife('1', '10.244.1.7');
  const [started, stopped] = runtimeLife('1', '10.244.1.7');
  const all = [...mixtures([bound, pending, running, deleted], [started, stopped])];

  test('there are 15 orders', () => {
    expect(all).toHaveLength(15);
  });

  test.each(all.map((events) => [events.map((each) => nameOf(each)).join(', '), events] as const))(
    '%s',
    (_, events) => {
      const world = new World();
      const done = new Set<unknown>();
      let forgotten = false;
      for (const event of events) {
        event?.(world);
        done.add(event);
        forgotten ||= event === deleted && !done.has(started);
        const [record, ...others] = world.records;
        expect(others).toEqual([]);
        const exists = done.has(started) && !done.has(stopped);
        const isGone = done.has(stopped) || (done.has(deleted) && !done.has(started));
        if (exists) expect(record?.addresses).toEqual(['10.244.1.7']);
        if (isGone) expect(record?.addresses ?? []).toEqual([]);
        const isKnown = done.has(bound) && !forgotten;
        if (exists && isKnown) expect(record).toMatchObject({ labels: { app: 'db' }, ports: [{ port: 5432 }] });
        if (exists && !isKnown) expect(record).toMatchObject({ labels: { app: 'old' }, ports: [] });
      }
      expect(world.records).toEqual([]);
    },
  );

  function nameOf(event: unknown): string {
    const names = new Map<unknown, string>([
      [bound, 'bound'],
      [pending, 'Pending'],
      [running, 'podIP'],
      [deleted, 'delete'],
      [started, 'sandbox'],
      [stopped, 'stop'],
    ]);
    return names.get(event) ?? '';
  }
});

test('two pods of one name in a row end alike, however their events mix and whenever they are taken', () => {
  const api = [...apiLife('1', '10.244.1.7'), ...apiLife('2', '10.244.1.8').slice(0, 3)];
  // The kubelet starts a pod only when the one before it is gone.
  const runtime = [...runtimeLife('1', '10.244.1.7'), ...runtimeLife('2', '10.244.1.8').slice(0, 1)];
  const turns = fc.array(fc.record({ isApi: fc.boolean(), takes: fc.boolean() }), { minLength: 20, maxLength: 20 });
  fc.assert(
    fc.property(turns, (each) => {
      const world = new World();
      const left = { api: [...api], runtime: [...runtime] };
      for (const { isApi, takes } of each) {
        const event = (isApi ? left.api.shift() : left.runtime.shift()) ?? left.api.shift() ?? left.runtime.shift();
        event?.(world);
        if (takes) world.take();
      }
      expect([...left.api, ...left.runtime]).toEqual([]);
      expect(world.records).toEqual([pod('2', { phase: 'Running', addresses: ['10.244.1.8'], startedAt: START })]);
    }),
    { numRuns: 2000 },
  );
});

test('a failed sandbox is replaced, and its late stop takes nothing from the next', () => {
  const world = new World();
  world.api('set', pod('1', { phase: 'Running', addresses: ['10.244.1.7'] }));
  world.pods.started(sandbox('1', '10.244.1.7', 'first'), START);
  world.pods.started(sandbox('1', '10.244.1.9', 'second'), START);
  world.pods.stopped(sandbox('1', '10.244.1.7', 'first'));
  expect(world.records).toMatchObject([{ addresses: ['10.244.1.9'] }]);
});

describe('a runtime that connects', () => {
  test('gives addresses to pods that the API server knows, and adds none', () => {
    const world = new World();
    world.api('set', pod('1'));
    world.pods.listed([sandbox('1', '10.244.1.7'), { ...sandbox('9', '10.244.1.8'), name: 'unknown' }]);
    expect(world.records).toEqual([pod('1', { addresses: ['10.244.1.7'] })]);
  });

  test('takes no address away that it does not list', () => {
    const world = new World();
    world.api('set', pod('1', { addresses: ['10.244.1.7'] }));
    world.pods.listed([]);
    expect(world.records).toMatchObject([{ addresses: ['10.244.1.7'] }]);
  });

  test('keeps the labels of a sandbox that it reported before', () => {
    const world = new World();
    world.pods.started(sandbox('1', '10.244.1.7'), START);
    world.pods.disconnected();
    world.pods.listed([sandbox('1', '10.244.1.7')]);
    expect(world.records).toMatchObject([{ uid: '1', labels: { app: 'old' }, addresses: ['10.244.1.7'] }]);
  });
});

describe('a runtime that is gone', () => {
  test('leaves the word to the API server', () => {
    const world = new World();
    world.api('set', pod('1'));
    world.pods.started(sandbox('1', '10.244.1.7'), START);
    world.pods.disconnected();
    expect(world.records).toMatchObject([{ addresses: ['10.244.1.7'] }]);
    world.api('set', pod('1', { addresses: ['10.244.1.9'] }));
    expect(world.records).toMatchObject([{ addresses: ['10.244.1.9'] }]);
    world.api('delete', pod('1', { addresses: ['10.244.1.9'] }));
    expect(world.records).toEqual([]);
  });

  test('does not keep pods that the API server has deleted', () => {
    const world = new World();
    world.api('set', pod('1'));
    world.pods.started(sandbox('1', '10.244.1.7'), START);
    world.api('delete', pod('1'));
    expect(world.records).toHaveLength(1);
    world.pods.disconnected();
    expect(world.records).toEqual([]);
  });
});

describe('a pod of the same name on another node', () => {
  const there = (created: number) => pod('2', { nodeName: 'node-2', created, addresses: ['10.244.2.7'] });

  test('replaces the one here if it is newer', () => {
    const world = new World();
    world.pods.started(sandbox('1', '10.244.1.7'), START);
    world.api('set', there(START + 60));
    expect(world.records).toEqual([there(START + 60)]);
    world.pods.stopped(sandbox('1', '10.244.1.7'));
    expect(world.records).toEqual([there(START + 60)]);
  });

  test('is deleted though the runtime lists a sandbox of that name here', () => {
    const world = new World();
    world.api('set', there(START));
    world.pods.listed([sandbox('1', '10.244.1.7')]);
    expect(world.records).toEqual([there(START)]);
    world.api('delete', there(START));
    expect(world.records).toEqual([]);
  });

  test('counts again once the sandbox here is gone', () => {
    const world = new World();
    world.pods.started(sandbox('1', '10.244.1.7'), START);
    world.api('set', there(START));
    expect(world.records).toMatchObject([{ uid: '1', nodeName: HERE }]);
    world.pods.stopped(sandbox('1', '10.244.1.7'));
    expect(world.records).toEqual([there(START)]);
    world.api('delete', there(START));
    expect(world.records).toEqual([]);
  });

  test('is forgotten once a newer one has started here, before the API server says so', () => {
    const world = new World();
    world.api('set', there(START - 60));
    world.pods.started(sandbox('3', '10.244.1.7'), START);
    expect(world.records).toMatchObject([{ uid: '3', nodeName: HERE }]);
    world.api('set', { ...there(START - 60), deleting: true });
    world.api('delete', there(START - 60));
    world.api('set', pod('3', { nodeName: undefined as never }));
    expect(world.records).toMatchObject([{ uid: '3', nodeName: HERE, addresses: ['10.244.1.7'] }]);
  });
});

test('a pod with several sandboxes in a list has the address of the API: CRI-O lists failed ones, too', () => {
  const world = new World();
  world.api('set', pod('1', { addresses: ['10.244.1.9'] }));
  world.pods.listed([sandbox('1', '10.244.1.9', 'second'), sandbox('1', '10.244.1.7', 'first')]);
  expect(world.records).toEqual([pod('1', { addresses: ['10.244.1.9'] })]);
});

test('a sandbox whose address the runtime does not know leaves the address to the API', () => {
  const world = new World();
  world.pods.listed([]);
  world.pods.stopped(sandbox('1', '10.244.1.7', 'first'));
  world.pods.startedUnaddressed(sandbox('1', ''));
  world.api('set', pod('1', { addresses: ['10.244.1.9'] }));
  expect(world.records).toEqual([pod('1', { addresses: ['10.244.1.9'] })]);
});

test('a pod that has stopped gets no address back while the runtime is away and comes again', () => {
  const world = new World();
  world.api('set', pod('1', { addresses: ['10.244.1.7'] }));
  world.pods.started(sandbox('1', '10.244.1.7'), START);
  world.pods.stopped(sandbox('1', '10.244.1.7'));
  expect(world.records).toEqual([pod('1')]);
  world.pods.disconnected();
  world.pods.listed([]);
  expect(world.records).toEqual([pod('1')]);
});

test('a pod is being stopped until it has ended', () => {
  const world = new World();
  world.api('set', pod('1', { deleting: true }));
  expect(world.pods.isStopping).toBe(true);
  world.api('set', pod('1', { deleting: true, phase: 'Succeeded' }));
  expect(world.pods.isStopping).toBe(false);
  world.api('set', pod('1', { deleting: true }));
  world.pods.stopped(sandbox('1', '10.244.1.7'));
  expect(world.pods.isStopping).toBe(false);
});

test('a pod that has ended gets no address from a list: CRI-O lists its sandbox all the same', () => {
  const world = new World();
  world.api('set', pod('1', { phase: 'Succeeded' }));
  world.pods.listed([sandbox('1', '10.244.1.7')]);
  expect(world.records).toEqual([pod('1', { phase: 'Succeeded' })]);
});

test('a pod in the network of its node keeps the addresses of the API', () => {
  const world = new World();
  const host = pod('1', { hostNetwork: true, addresses: ['192.168.0.2'] });
  world.api('set', host);
  world.pods.started(sandbox('1', '10.244.1.7'), START);
  expect(world.records).toEqual([host]);
});

test('the baseline has the addresses of both, and later changes start from it', () => {
  const pods = new SandboxedPods(HERE);
  const elsewhere = pod('5', { name: 'web', nodeName: 'node-2' });
  pods.listed([sandbox('1', '10.244.1.7')]);
  const { pods: known } = pods.baseline({ namespaces: [], policies: [], pods: [elsewhere, pod('1')] });
  expect(known.map(recordKey)).toEqual(['shop/web', 'shop/db-0']);
  expect(known[1]?.addresses).toEqual(['10.244.1.7']);
  expect(pods.take()).toEqual([]);
  pods.stopped(sandbox('1', '10.244.1.7'));
  expect(pods.take()).toEqual([{ type: 'set', record: pod('1') }]);
});

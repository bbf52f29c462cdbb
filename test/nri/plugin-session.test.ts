/** A session with a runtime, over a real socket. */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { expect, test } from 'vitest';
import { type PluginHandlers, PluginSession } from '../../src/nri/plugin-session.ts';
import type { SandboxPod } from '../../src/nri/sandbox-pod.ts';
import { endWithTest } from '../own.ts';
import { FakeRuntime, field, frame, message, type PluginEnd, pod, request, ttrpc } from './fake-runtime.ts';

const [RUN, STOP, REMOVE, CREATE_CONTAINER] = [1, 2, 3, 4];

/** Handlers that write down what they are told. */
function recorder(overrides: Partial<PluginHandlers> = {}) {
  const told: string[] = [];
  const handlers: PluginHandlers = {
    onSynchronized: (pods) => void told.push(`pods ${pods.map(({ name }) => name)}`),
    onRun: ({ name }) => void told.push(`run ${name}`),
    onStop: ({ name }) => void told.push(`stop ${name}`),
    onRemove: ({ name }) => void told.push(`remove ${name}`),
    ...overrides,
  };
  return { told, handlers };
}

async function connected(
  handlers: PluginHandlers,
  prepare: (runtime: PluginEnd) => void = () => {},
): Promise<{ session: PluginSession; runtime: PluginEnd }> {
  const listening = await new FakeRuntime().listen();
  const socket = createConnection(listening.path);
  await once(socket, 'connect');
  const runtime = await listening.plugin();
  prepare(runtime);
  const session = new PluginSession(socket, { handlers, index: '90' });
  endWithTest(() => session.close());
  return { session, runtime };
}

test('podfence registers with its index and asks for the three events of sandboxes', async () => {
  const { runtime } = await connected(recorder().handlers);
  expect(await runtime.registration).toEqual({ name: 'podfence', index: '90' });
  expect(await runtime.configure()).toBe(0b111);
});

test('It is registered once the pods that exist are known, and knows the runtime', async () => {
  const { told, handlers } = recorder();
  const { session, runtime } = await connected(handlers);
  await runtime.start(pod({ name: 'a' }), pod({ name: 'b' }));
  expect(await session.registered).toEqual({ name: 'containerd', version: '2.2.9', requestTimeout: 2000 });
  expect(told).toEqual(['pods a,b']);
});

test('Pods that come in pieces are told together, and each piece is acknowledged', async () => {
  const { told, handlers } = recorder();
  const { runtime } = await connected(handlers);
  await runtime.configure();
  const piece = (more: boolean, ...names: string[]) =>
    runtime.call('Synchronize', message(...names.map((name) => field(1, pod({ name }))), field(3, more ? 1 : 0)));
  // MORE = 2 in SynchronizeResponse.
  expect((await piece(true, 'a', 'b')).payload).toEqual(field(2, 1));
  expect((await piece(true)).payload).toEqual(field(2, 1));
  expect(told).toEqual([]);
  expect((await piece(false, 'c')).payload).toHaveLength(0);
  expect(told).toEqual(['pods a,b,c']);
});

test('containerd lists stopped sandboxes with their old addresses: they are left out', async () => {
  const { told, handlers } = recorder();
  const { runtime } = await connected(handlers);
  await runtime.start(
    pod({ name: 'runs', pid: 12, netnsPath: '/var/run/netns/a' }),
    pod({ name: 'stopped', pid: 0, netnsPath: '/var/run/netns/b' }),
    pod({ name: 'on-host', pid: 13 }),
    pod({ name: 'kata', pid: 0 }),
  );
  expect(told).toEqual(['pods runs,on-host,kata']);
});

test('CRI-O has sandboxes without a process', async () => {
  const { told, handlers } = recorder();
  const { runtime } = await connected(handlers);
  await runtime.configure('cri-o');
  await runtime.call('Synchronize', field(1, pod({ name: 'runs', pid: 0, netnsPath: '/var/run/netns/a' })));
  expect(told).toEqual(['pods runs']);
});

test('A pod has canonical addresses, and only the labels of its own', async () => {
  const { promise, resolve } = Promise.withResolvers<SandboxPod>();
  const { runtime } = await connected(recorder({ onRun: resolve }).handlers);
  await runtime.start();
  await runtime.stateChange(
    RUN,
    pod({
      labels: {
        app: 'web',
        'io.kubernetes.pod.name': 'web',
        'io.kubernetes.pod.namespace': 'shop',
        'io.kubernetes.pod.uid': 'uid',
        'io.kubernetes.container.name': 'POD',
        'io.cri-containerd.kind': 'sandbox',
        'io.kubernetes.pod.other': 'kept',
      },
      ips: ['10.0.0.1', 'FD00:0:0::1', 'nonsense'],
      netnsPath: '/var/run/netns/cni-1',
    }),
  );
  expect(await promise).toEqual({
    id: 'id',
    uid: 'uid',
    name: 'web',
    namespace: 'shop',
    labels: { app: 'web', 'io.kubernetes.pod.other': 'kept' },
    annotations: {},
    addresses: ['10.0.0.1', 'fd00::1'],
    netnsPath: '/var/run/netns/cni-1',
    pid: 7,
  });
});

test.each([
  ['as state changes', (runtime: PluginEnd) => (event: number) => runtime.stateChange(event, pod({}))],
  [
    'by calls of their own',
    (runtime: PluginEnd) => (event: number) =>
      runtime.call(['', 'RunPodSandbox', 'StopPodSandbox', 'RemovePodSandbox'][event] as string, field(1, pod({}))),
  ],
])('Events of sandboxes come %s', async (_, reporting) => {
  const { told, handlers } = recorder();
  const { runtime } = await connected(handlers);
  await runtime.start();
  const report = reporting(runtime);
  for (const event of [RUN, STOP, REMOVE]) expect(await report(event)).toMatchObject({ code: 0 });
  expect(told).toEqual(['pods ', 'run web', 'stop web', 'remove web']);
});

test('The runtime waits until a sandbox may go on, and meanwhile asks about others', async () => {
  const gates = new Map<string, () => void>();
  const onRun = ({ name }: SandboxPod) => new Promise<void>((resolve) => gates.set(name, resolve));
  const { runtime } = await connected(recorder({ onRun }).handlers);
  await runtime.start();
  const answered: string[] = [];
  const calls = ['a', 'b', 'c'].map(async (name) => {
    await runtime.stateChange(RUN, pod({ name }));
    answered.push(name);
  });
  await runtime.stateChange(STOP, pod({}));
  expect(answered).toEqual([]);
  for (const name of ['b', 'c', 'a']) gates.get(name)?.();
  await Promise.all(calls);
  expect(answered).toEqual(['b', 'c', 'a']);
});

test('A sandbox is refused with the reason', async () => {
  const onRun = () => Promise.reject(new Error('the policies of this pod are not in force'));
  const { session, runtime } = await connected(recorder({ onRun }).handlers);
  await runtime.start();
  const answer = await runtime.stateChange(RUN, pod({}));
  expect(answer).toMatchObject({ code: 2, message: 'the policies of this pod are not in force' });
  expect(await runtime.stateChange(STOP, pod({}))).toMatchObject({ code: 0 });
  session.close();
});

test('A sandbox that cannot be read is refused', async () => {
  const { told, handlers } = recorder();
  const { runtime } = await connected(handlers);
  await runtime.start();
  expect(await runtime.call('StateChange', message(field(1, RUN), field(2, Buffer.of(0x0a))))).toMatchObject({
    code: 3,
  });
  expect(told).toEqual(['pods ']);
});

test('Calls about other events are answered by nothing, unknown ones by Unimplemented', async () => {
  const { told, handlers } = recorder();
  const { runtime } = await connected(handlers);
  await runtime.start();
  expect(await runtime.call('CreateContainer', Buffer.alloc(0))).toEqual({
    code: 0,
    message: '',
    payload: Buffer.alloc(0),
  });
  expect(await runtime.stateChange(CREATE_CONTAINER, pod({}))).toMatchObject({ code: 0 });
  expect(await runtime.call('Hibernate', Buffer.alloc(0))).toMatchObject({ code: 12 });
  expect(await runtime.call('RunPodSandbox', field(1, pod({})), 'another.Service')).toMatchObject({ code: 12 });
  expect(told).toEqual(['pods ']);
});

test('A large pod arrives in one long frame after a short one, as a runtime in Go writes it', async () => {
  const { promise, resolve } = Promise.withResolvers<SandboxPod>();
  const { runtime } = await connected(recorder({ onRun: resolve }).handlers);
  await runtime.start();
  const large = pod({ annotations: { note: 'x'.repeat(250_000) } });
  const bytes = ttrpc(101, 1, request('StateChange', message(field(1, RUN), field(2, large))));
  runtime.send(Buffer.concat([frame(1, bytes.subarray(0, 4096)), frame(1, bytes.subarray(4096))]));
  expect((await promise).annotations.note).toHaveLength(250_000);
});

test('No frame is longer than what the runtime can read', async () => {
  const onRun = () => Promise.reject(new Error('x'.repeat(100_000)));
  const { runtime } = await connected(recorder({ onRun }).handlers);
  await runtime.start();
  expect((await runtime.stateChange(RUN, pod({}))).message).toHaveLength(1024);
  expect(runtime.longestFrame).toBeLessThanOrEqual(4096);
});

test.each([
  ['the runtime closes the connection', (runtime: PluginEnd) => runtime.close(), 'closed'],
  ['the runtime shuts down', (runtime: PluginEnd) => void runtime.call('Shutdown', Buffer.alloc(0)), 'shutdown'],
  [
    'a frame is too long',
    (runtime: PluginEnd) => runtime.send(frame(1, Buffer.alloc(0), 0xffff_ffff)),
    'frame-too-long',
  ],
  [
    'a message is too long',
    (runtime: PluginEnd) => runtime.send(frame(1, ttrpc(9, 1, Buffer.alloc(0), 0, 5 << 20))),
    'message-too-long',
  ],
])('The session ends when %s, and closes its connection', async (_, act, code) => {
  const { session, runtime } = await connected(recorder().handlers);
  await runtime.start();
  act(runtime);
  expect(await session.closed).toMatchObject({ code });
  await runtime.closed;
});

test('The session ends with the reason if the runtime refuses to register podfence', async () => {
  const { session } = await connected(recorder().handlers, (runtime) => runtime.refuseRegistration('invalid index'));
  expect(await session.closed).toMatchObject({ code: 'refused', message: 'RegisterPlugin: invalid index' });
  await expect(session.registered).rejects.toMatchObject({ code: 'refused' });
});

test('The session ends if more pods are named than a node can have', async () => {
  const { session, runtime } = await connected(recorder().handlers);
  await runtime.configure();
  const many = message(...Array.from({ length: 40_000 }, () => field(1, '')), field(3, 1));
  expect(await runtime.call('Synchronize', many)).toMatchObject({ code: 0 });
  void runtime.call('Synchronize', many);
  expect(await session.closed).toMatchObject({ code: 'too-many-pods' });
});

test('A handler that ends after the session harms nobody', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { session, runtime } = await connected(recorder({ onRun: () => promise }).handlers);
  await runtime.start();
  void runtime.stateChange(RUN, pod({}));
  await runtime.stateChange(STOP, pod({}));
  session.close();
  expect(await session.closed).toMatchObject({ code: 'closed', message: 'podfence closed the connection' });
  resolve();
  await promise;
});

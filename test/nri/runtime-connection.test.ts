/** The connection to the runtime, while the runtime comes, goes and fails. */
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { PluginHandlers } from '../../src/nri/plugin-session.ts';
import { RuntimeConnection, type RuntimeState } from '../../src/nri/runtime-connection.ts';
import { TestClock } from '../kube/test-clock.ts';
import { endWithTest } from '../own.ts';
import { eventually } from '../patience.ts';
import { FakeRuntime, pod } from './fake-runtime.ts';

const SEEN = 200;
const UNSEEN = 10_000;
/** The first waits of Backoff with 0.5 as its random number. */
const [FIRST, SECOND] = [250, 500];

function connectionTo(socketPath: string, isQuiet = () => true) {
  const clock = new TestClock();
  const states: string[] = [];
  const told: string[] = [];
  const handlers: PluginHandlers = {
    onSynchronized: (pods) => void told.push(`pods ${pods.map(({ name }) => name)}`),
    onRun: ({ name }) => void told.push(`run ${name}`),
    onStop: () => {},
    onRemove: () => {},
  };
  const describe = (state: RuntimeState) => (state.kind === 'failed' ? `failed: ${state.reason.code}` : state.kind);
  const connection = new RuntimeConnection({
    socketPath,
    handlers,
    isQuiet,
    clock,
    random: () => 0.5,
    onState: (state) => states.push(describe(state)),
  });
  endWithTest(() => connection.stop());
  const reach = (...expected: string[]) => eventually(() => expect(states).toEqual(expected));
  return { connection, clock, states, told, reach };
}

test('It registers with a runtime that is there', async () => {
  const runtime = await new FakeRuntime().listen();
  const { connection, told, reach } = connectionTo(runtime.path);
  connection.start();
  const plugin = await runtime.plugin();
  await plugin.start(pod({ name: 'a' }));
  await reach('registered');
  expect(connection.state).toMatchObject({ kind: 'registered', runtime: { name: 'containerd', version: '2.2.9' } });
  await plugin.stateChange(1, pod({ name: 'b' }));
  expect(told).toEqual(['pods a', 'run b']);
});

test('It waits until no pod of the node is being stopped, but not for ever', async () => {
  let isQuiet = false;
  const runtime = await new FakeRuntime().listen();
  const first = connectionTo(runtime.path, () => isQuiet);
  first.connection.start();
  await first.clock.elapse(SEEN);
  await first.clock.elapse(SEEN);
  await eventually(() => expect(first.clock.running).toEqual([SEEN]));
  expect(first.states).toEqual([]);
  isQuiet = true;
  first.clock.advance(SEEN);
  await (await runtime.plugin()).start();
  await first.reach('registered');

  const second = connectionTo(runtime.path, () => false);
  second.connection.start();
  for (let waited = 0; waited < 30_000; waited += SEEN) await second.clock.elapse(SEEN);
  await (await runtime.plugin()).start();
  await second.reach('registered');
});

test('A runtime without NRI is reported once, and looked for slowly', async () => {
  const runtime = new FakeRuntime();
  const { connection, clock, reach } = connectionTo(runtime.path);
  connection.start();
  await clock.elapse(UNSEEN);
  await clock.elapse(UNSEEN);
  await eventually(() => expect(clock.running).toEqual([UNSEEN]));
  await reach('absent');
  await runtime.listen();
  clock.advance(UNSEEN);
  await (await runtime.plugin()).start();
  await reach('absent', 'connecting', 'registered');
});

test('A runtime that restarts is registered with again, and tells of its pods again', async () => {
  const runtime = await new FakeRuntime().listen();
  const { connection, clock, told, reach } = connectionTo(runtime.path);
  connection.start();
  await (await runtime.plugin()).start(pod({ name: 'a' }));
  await reach('registered');
  await runtime.close();
  await clock.elapse(FIRST);
  // While the runtime is away, podfence looks for it often.
  await clock.elapse(SEEN);
  await reach('registered', 'failed: closed', 'absent');
  await runtime.listen();
  await clock.elapse(SEEN);
  await (await runtime.plugin()).start(pod({ name: 'a' }), pod({ name: 'b' }));
  await reach('registered', 'failed: closed', 'absent', 'connecting', 'registered');
  expect(told).toEqual(['pods a', 'pods a,b']);
});

test('A socket that a dead runtime has left behind counts as absent', async () => {
  const runtime = new FakeRuntime();
  writeFileSync(runtime.path, '');
  const { connection, reach } = connectionTo(runtime.path);
  connection.start();
  await reach('absent');
});

test('A runtime that refuses podfence is tried again, more and more slowly', async () => {
  const runtime = await new FakeRuntime().listen();
  const { connection, clock, states } = connectionTo(runtime.path);
  connection.start();
  for (const pause of [FIRST, SECOND, 2 * SECOND]) {
    const plugin = await runtime.plugin();
    plugin.refuseRegistration('no plugins wanted');
    await clock.elapse(pause);
  }
  await (await runtime.plugin()).start();
  const attempt = ['failed: refused', 'connecting'];
  await eventually(() => expect(states).toEqual([...attempt, ...attempt, ...attempt, 'registered']));
});

test('The pause is short again after a session that lasted', async () => {
  const runtime = await new FakeRuntime().listen();
  const { connection, clock } = connectionTo(runtime.path);
  connection.start();
  for (const [lasted, pause] of [
    [0, FIRST],
    [9_999, SECOND],
    [10_000, FIRST],
  ] as const) {
    const plugin = await runtime.plugin();
    await plugin.start();
    await eventually(() => expect(connection.state.kind).toBe('registered'));
    clock.advance(lasted);
    plugin.close();
    await clock.elapse(pause);
  }
});

test.each([
  ['that is registered', true],
  ['that is being registered', false],
])('A connection %s stops at once, without another state', async (_, isRegistered) => {
  const runtime = await new FakeRuntime().listen();
  const { connection, clock, states } = connectionTo(runtime.path);
  connection.start();
  const plugin = await runtime.plugin();
  if (isRegistered) {
    await plugin.start();
    await eventually(() => expect(states).toEqual(['registered']));
  }
  const before = [...states];
  await connection.stop();
  await plugin.closed;
  expect(states).toEqual(before);
  expect(clock.running).toEqual([]);
});

test('A connection that waits for the runtime stops at once', async () => {
  const { connection, clock } = connectionTo(new FakeRuntime().path);
  connection.start();
  await eventually(() => expect(clock.running).toEqual([UNSEEN]));
  await connection.stop();
  expect(clock.running).toEqual([]);
});

test('A path that leads nowhere is absent, one that is not a socket has a reason', async () => {
  const { connection, reach } = connectionTo('/nowhere/nri.sock');
  connection.start();
  await reach('absent');
  const long = connectionTo(`/tmp/${'x'.repeat(200)}`);
  long.connection.start();
  await long.reach('failed: connection');
});

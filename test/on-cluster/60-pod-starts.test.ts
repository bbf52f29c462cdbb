/**
 * Pods that connect as their first act, 20 starting at once. Where the container runtime has NRI,
 * their policies are in force before that; elsewhere this file only counts how many get out.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiObject, Cluster } from './cluster.ts';
import { install } from './installation.ts';
import { Namespace } from './pods.ts';
import { say } from './shell.ts';
import { until } from './until.ts';

const AT_ONCE = 20;
/** How many pods start one after the other, AT_ONCE at a time. PODFENCE_POD_STARTS sets more. */
const PODS = Number(process.env.PODFENCE_POD_STARTS ?? 40);
/** Seconds that a pod waits for its only connection, in which the kernel tries four times. */
const PATIENCE = 8;

const cluster = new Cluster();
const waits = (await cluster.runtimes()).every(hasNri);
let own: Namespace;
let node = '';

beforeAll(async () => {
  await install(cluster);
  const [first = '', second = first] = await cluster.nodes();
  node = second;
  own = await Namespace.create(cluster, 'pod-starts');
  await own.pods({ server: { labels: { app: 'server' }, node: first } });
  await own.policy('deny', { podSelector: { matchLabels: { may: 'no' } }, policyTypes: ['Egress'] });
  await own.policy('allow', {
    podSelector: { matchLabels: { may: 'yes' } },
    policyTypes: ['Egress'],
    egress: [{ to: [{ podSelector: { matchLabels: { app: 'server' } } }] }],
  });
});
afterAll(() => own?.delete());

test.skipIf(!waits)(
  waits ? 'the agents say that the runtime waits for them' : 'the runtime waits for the agents (it has no NRI)',
  async () => {
    for (const each of await cluster.nodes())
      await until(
        `the agent of ${each} is registered`,
        async () => (await cluster.statusOf(each)).podStarts.state === 'runtime',
      );
  },
);

test(`of ${PODS} pods that a policy denies everything, and that connect as their first act, ${waits ? 'none gets out' : 'some may get out'}`, {
  timeout: 60_000 + PODS * 5000,
}, async () => {
  const before = await cluster.statusOf(node);
  const seen = await startPods({ may: 'no' });
  const out = seen.filter(({ message }) => message === 'connected');
  const { podStarts } = await cluster.statusOf(node);
  say(
    `${out.length} of ${PODS} pods got out; ${podStarts.inForce - before.podStarts.inForce} were waited for, the last ${podStarts.lastWaitSeconds} s`,
  );
  if (!waits) return;
  expect(out.map(({ name }) => name)).toEqual([]);
  expect(podStarts.inForce - before.podStarts.inForce).toBe(PODS);
  expect(podStarts).toMatchObject({ refused: 0, unjudged: 0 });
});

test(`of ${AT_ONCE} pods that a policy allows the server, and that connect as their first act, all reach it`, async () => {
  const seen = await startPods({ may: 'yes' }, AT_ONCE);
  expect(seen.filter(({ message }) => message !== 'connected')).toEqual([]);
});

/** Starts pods with these labels, AT_ONCE at a time. Resolves with what each printed. */
async function startPods(
  labels: Readonly<Record<string, string>>,
  count = PODS,
): Promise<readonly { readonly name: string; readonly message: string }[]> {
  const server = await own.addressOf('server');
  // bash connects without another program to start, which takes it a few milliseconds.
  const script = `if timeout ${PATIENCE} bash -c 'exec 3<>/dev/tcp/${server}/8080'; then echo connected; else echo nothing; fi >/dev/termination-log`;
  const results: { name: string; message: string }[] = [];
  for (let begun = 0; begun < count; begun += AT_ONCE) {
    const names = Array.from({ length: Math.min(AT_ONCE, count - begun) }, (_, i) => `${labels.may}-${begun + i}`);
    const items = names.map((name) => pod(name, { ...labels, app: 'first' }, script));
    await own.apply({ apiVersion: 'v1', kind: 'List', items });
    await until(
      `${names.length} pods have tried`,
      async () => (await pods()).filter(({ status }) => status.phase === 'Succeeded').length === names.length,
      () => '',
      120_000,
    );
    for (const { metadata, status } of await pods()) results.push({ name: metadata.name, message: messageOf(status) });
    await own.kubectl('delete', 'pod', '-l', 'app=first', '--timeout=60s');
  }
  return results;
}

function pods(): Promise<readonly ApiObject[]> {
  return cluster.list('pods', '-n', own.name, '-l', 'app=first');
}

function pod(name: string, labels: Readonly<Record<string, string>>, script: string): object {
  const { spec } = own.template({ node, container: { command: ['bash', '-c', script] } }) as { spec: object };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels }, spec: { ...spec, restartPolicy: 'Never' } };
}

function messageOf({ containerStatuses }: ApiObject['status']): string {
  const [status] = containerStatuses as readonly { state?: { terminated?: { message?: string } } }[];
  return status?.state?.terminated?.message?.trim() ?? '';
}

/** containerd has NRI on by default from 2.0 on, and CRI-O from 1.30 on. */
function hasNri(runtime: string): boolean {
  const [, name, major = 0, minor = 0] = /^([a-z-]+):\/\/v?(\d+)\.(\d+)/.exec(runtime) ?? [];
  return name === 'containerd' ? Number(major) >= 2 : name === 'cri-o' && (Number(major) > 1 || Number(minor) >= 30);
}

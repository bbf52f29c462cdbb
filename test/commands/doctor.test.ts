/**
 * `podfence doctor` as a user runs it: its output, its exit codes, and that it leaves nothing
 * behind.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { NodesFinding } from '../../src/doctor/finding.ts';
import { Netns } from '../../src/sys/netns.ts';
import { shell } from '../dataplane/steering/pods.ts';
import { patience } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import { DoctorCluster, type FakeCluster } from './doctor-cluster.ts';
import { ended, type Outcome, podfence, start } from './podfence.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

interface Report {
  readonly problems: number;
  readonly findings: readonly NodesFinding[];
}

const CILIUM = {
  metadata: { namespace: 'kube-system', name: 'cilium-8fj2m', labels: { 'k8s-app': 'cilium' } },
  spec: { nodeName: 'b', containers: [{ name: 'cilium-agent', image: 'quay.io/cilium/cilium:v1.16.3' }] },
  status: { phase: 'Running' },
};

const enforcing = (version = '0.1.0', findings: readonly object[] = []) => ({
  version,
  ready: true,
  notReady: null,
  mode: { mode: 'enforce' },
  findings,
});

async function cluster(fake: FakeCluster): Promise<{ api: DoctorCluster; flags: readonly string[] }> {
  const api = await DoctorCluster.start(fake);
  const folder = mkdtempSync(join(tmpdir(), 'podfence-doctor-'));
  const file = join(folder, 'kubeconfig');
  writeFileSync(file, api.kubeConfig);
  onTestFinished(async () => {
    rmSync(folder, { recursive: true });
    await api[Symbol.asyncDispose]();
  });
  return { api, flags: ['doctor', '--kubeconfig', file] };
}

async function reportOf(
  fake: FakeCluster,
  ...more: readonly string[]
): Promise<Report & { of: (check: string) => readonly NodesFinding[]; outcome: Outcome }> {
  const { flags } = await cluster(fake);
  const outcome = await podfence([...flags, '--json', ...more]);
  const report = JSON.parse(outcome.stdout) as Report;
  return { ...report, outcome, of: (check) => report.findings.filter((each) => each.check === check) };
}

test.each([
  [['--node', '--cluster'], '--node examines this node'],
  [['--run-pod'], "--run-pod: name podfence's image"],
  [['--image', 'podfence'], '--image has no use without --run-pod'],
  [['--kubeconfig', '/nowhere'], 'Kubeconfig /nowhere cannot be read'],
])('%j is wrong usage', async (flags, words) => {
  const { code, stderr } = await podfence(['doctor', ...flags]);
  expect([code, stderr]).toEqual([2, expect.stringContaining(words)]);
});

test('recorded: a cluster that enforces: exit code 0, each finding once for all nodes', async () => {
  const fake = { nodes: ['a', 'b'], agents: { a: enforcing(), b: enforcing() } };
  const { outcome, of } = await reportOf(fake);
  expect(outcome.code).toBe(0);
  expect(of('agent-ready')).toEqual([expect.objectContaining({ severity: 'ok', nodes: ['a', 'b'] })]);
  expect(of('api-rights')).toEqual([
    expect.objectContaining({
      severity: 'ok',
      nodes: [],
      message: expect.stringContaining('podfence-system/podfence'),
    }),
  ]);
  expect(of('memory-limit')).toEqual([expect.objectContaining({ severity: 'ok', nodes: ['a', 'b'] })]);
});

test('recorded: agents missing, not ready, of two versions, without rights: exit code 1', async () => {
  const broken = { ...enforcing('0.2.0'), ready: false, notReady: 'waiting for the first list of Pod' };
  const { outcome, of } = await reportOf({
    nodes: ['a', 'b', 'c'],
    agents: { a: enforcing(), b: broken },
    missingRights: ['watch networkpolicies'],
  });
  expect(outcome.code).toBe(1);
  expect(of('agents')).toEqual([expect.objectContaining({ severity: 'problem', nodes: ['c'] })]);
  expect(of('agent-ready')).toContainEqual(
    expect.objectContaining({
      severity: 'problem',
      nodes: ['b'],
      message: expect.stringContaining('waiting for the first list'),
    }),
  );
  expect(of('agent-version')).toEqual([
    expect.objectContaining({ severity: 'warning', message: expect.stringContaining('0.1.0 on a; 0.2.0 on b') }),
  ]);
  expect(of('api-rights')).toEqual([
    expect.objectContaining({
      severity: 'problem',
      message: expect.stringContaining('may not watch networkpolicies.networking.k8s.io'),
    }),
  ]);
});

const PENDING = {
  phase: 'Pending',
  conditions: [{ type: 'Ready', status: 'False', reason: 'ContainersNotReady' }],
  containerStatuses: [{ state: { waiting: { reason: 'ImagePullBackOff' } } }],
};
const CRASHING = {
  phase: 'Running',
  conditions: [{ type: 'Ready', status: 'False', reason: 'ContainersNotReady' }],
  containerStatuses: [{ state: { waiting: { reason: 'CrashLoopBackOff' } } }],
};

test.each([
  ['wait for their image', PENDING, 'its pod is pending (ImagePullBackOff)', undefined],
  ['crash again and again', CRASHING, 'its pod is not Ready (CrashLoopBackOff)', undefined],
  ['crash, and may not be asked', CRASHING, 'its pod is not Ready (CrashLoopBackOff)', /proxy/],
])('recorded: agents that %s are a problem: exit code 1', async (_, status, words, forbidden) => {
  const { outcome, of } = await reportOf({
    nodes: ['a', 'b'],
    agents: { a: 503, b: 503 },
    podStatus: { a: status, b: status },
    others: [CILIUM],
    ...(forbidden !== undefined && { forbidden }),
  });
  expect(outcome.code).toBe(1);
  expect(of('agent-ready')).toEqual([
    expect.objectContaining({ severity: 'problem', nodes: ['a', 'b'], message: expect.stringContaining(words) }),
  ]);
  // No other enforcer runs beside it.
  expect(of('other-enforcer')).toEqual([expect.objectContaining({ severity: 'info' })]);
});

test('recorded: an agent whose pod is Ready but that does not answer is a warning', async () => {
  const { outcome, of } = await reportOf({ nodes: ['a'], agents: { a: 503 } });
  expect(outcome.code).toBe(0);
  expect(of('agent-ready')).toEqual([
    expect.objectContaining({ severity: 'warning', message: expect.stringContaining('could not be queried') }),
  ]);
});

test('recorded: an agent in audit mode is reported, and only the other enforcer’s verdict counts', async () => {
  const auditing = { ...enforcing(), mode: { mode: 'audit' } };
  const { outcome, of } = await reportOf({ nodes: ['b'], agents: { b: auditing }, others: [CILIUM] });
  expect(outcome.code).toBe(0);
  expect(of('agent-ready')).toEqual([
    expect.objectContaining({ severity: 'info', message: expect.stringContaining('it enforces nothing') }),
  ]);
  expect(of('other-enforcer')[0]?.message).toContain('Its verdict alone counts: podfence is in audit mode');
});

test('recorded: several agents on a node are a problem, with their names', async () => {
  const second = {
    metadata: { namespace: 'default', name: 'podfence-x', labels: { 'app.kubernetes.io/name': 'podfence' } },
    spec: { nodeName: 'a', containers: [{ name: 'agent', image: 'podfence:0.1.0' }] },
    status: { phase: 'Running' },
  };
  const { outcome, of } = await reportOf({ nodes: ['a'], agents: { a: enforcing() }, others: [second] });
  expect(outcome.code).toBe(1);
  expect(of('agents')).toEqual([
    expect.objectContaining({
      severity: 'problem',
      nodes: ['a'],
      message: expect.stringContaining('podfence-system/podfence-a, default/podfence-x'),
    }),
  ]);
});

test('recorded: a role of an earlier version, without nodes, is a warning', async () => {
  const missingRights = ['list nodes', 'watch nodes'];
  const { outcome, of } = await reportOf({ nodes: ['a'], agents: { a: enforcing() }, missingRights });
  expect(outcome.code).toBe(0);
  expect(of('api-rights')).toEqual([
    expect.objectContaining({ severity: 'warning', message: expect.stringContaining('list nodes, watch nodes') }),
  ]);
});

test('recorded: before podfence is installed nothing is missing, and no rights are checked', async () => {
  const { outcome, of } = await reportOf({ nodes: ['a'], missingRights: ['watch pods', 'watch networkpolicies'] });
  expect(outcome.code).toBe(0);
  expect(of('agents')).toEqual([
    expect.objectContaining({ severity: 'info', message: expect.stringContaining('podfence is not installed') }),
  ]);
  expect(of('api-rights')).toEqual([]);
});

test('recorded: kube-proxy’s ConfigMap counts for nodes whose agent saw no kube-proxy, and for no others', async () => {
  const proxy = { code: 'PD202', check: 'kube-proxy', certainty: 'likely' };
  const unseen = { ...proxy, severity: 'info', message: 'No kube-proxy is visible.' };
  const seen = { ...proxy, severity: 'ok', message: 'kube-proxy uses iptables.' };
  const { outcome, of } = await reportOf({
    nodes: ['a', 'b', 'c'],
    agents: { a: enforcing('0.1.0', [unseen]), b: enforcing('0.1.0', [seen]), c: enforcing() },
    proxyMode: 'ipvs # of old',
  });
  expect(outcome.code).toBe(1);
  expect(of('kube-proxy')).toEqual([
    expect.objectContaining({
      severity: 'problem',
      nodes: ['a', 'c'],
      message: expect.stringContaining('IPVS (by the ConfigMap kube-system/kube-proxy)'),
    }),
    expect.objectContaining({ severity: 'ok', nodes: ['b'] }),
  ]);
});

test.each([
  [{ findingsAgeSeconds: 12.3 }, { findingsAgeSeconds: 170 }, '2 nodes, checked by agents at most 3 min ago'],
  [{ findingsAgeSeconds: 12.3 }, { findings: [] }, '2 nodes, checked by agents at most 13 s ago'],
  [{ findingsAgeSeconds: 12.3 }, {}, '2 nodes, checked by agents when they started'],
])('recorded: how old what agents say is stands in the title: %j and %j', async (a, b, title) => {
  const fine = { code: 'PD203', check: 'flow-table', severity: 'ok', certainty: 'certain', message: 'None.' };
  const agents = { a: { ...enforcing('0.1.0', [fine]), ...a }, b: { ...enforcing('0.1.0', [fine]), ...b } };
  const { flags } = await cluster({ nodes: ['a', 'b'], agents });
  const { stdout } = await podfence(flags);
  expect(stdout.replace(/\n */, ' ')).toContain(title);
});

test('recorded: what an agent found on its node is reported; the cluster’s objects count if it found nothing', async () => {
  const bridge = {
    code: 'PD201',
    check: 'bridge-filter',
    severity: 'problem',
    certainty: 'certain',
    message: 'On a bridge.',
  };
  const stranger = { ...bridge, code: 'PD999', check: 'of a later version' };
  const { outcome, of, findings } = await reportOf({
    nodes: ['a', 'b'],
    kernelVersion: '6.1.0-28-amd64',
    agents: { a: enforcing('0.1.0', [bridge, stranger]), b: enforcing() },
  });
  expect(outcome.code).toBe(1);
  expect(of('bridge-filter')).toEqual([expect.objectContaining({ nodes: ['a'] })]);
  expect(of('lost-first-packets')).toEqual([expect.objectContaining({ severity: 'warning', nodes: ['a', 'b'] })]);
  expect(findings.map(({ code }) => code)).not.toContain('PD999');
});

test('recorded: other enforcers are found by their pods, on the nodes where these run', async () => {
  const { of } = await reportOf({ nodes: ['a', 'b'], agents: { a: enforcing(), b: enforcing() }, others: [CILIUM] });
  expect(of('other-enforcer')).toEqual([expect.objectContaining({ severity: 'warning', nodes: ['b'] })]);
});

test('recorded: a user without all rights is told which right is missing', async () => {
  const { outcome, of } = await reportOf({
    nodes: ['a'],
    agents: { a: enforcing() },
    forbidden: /proxy|nodes$|accessreviews/,
  });
  expect(outcome.code).toBe(0);
  expect(of('agent-ready')).toEqual([
    expect.objectContaining({
      severity: 'warning',
      nodes: ['a'],
      message: expect.stringContaining('lacks the right to get pods/proxy'),
    }),
  ]);
  expect(of('not-looked').map(({ message }) => message)).toEqual([
    expect.stringContaining('lacks the right to list nodes'),
    expect.stringContaining('lacks the right to create subjectaccessreviews'),
  ]);
});

test('recorded: if pods may not be listed nothing can be checked: exit code 3', async () => {
  const { flags } = await cluster({ nodes: ['a'], forbidden: /pods$/ });
  const { code, stderr } = await podfence(flags);
  expect([code, stderr]).toEqual([3, expect.stringMatching(/cannot read the cluster at \S+: HTTP 403/)]);
});

test('the report keeps within COLUMNS', async () => {
  const { flags } = await cluster({ nodes: ['a', 'b'], kernelVersion: '6.1.0-28-amd64', agents: { a: enforcing() } });
  const child = spawn(process.execPath, [CLI, ...flags], { env: { ...process.env, COLUMNS: '60' }, stdio: 'pipe' });
  const { stdout, code } = await ended(child);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^cluster http:.*, 2 nodes\n\nproblem {2}PD501 agents, certain · b\n/);
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(60);
});

test('recorded: --run-pod checks nodes without an agent, and leaves nothing behind', async () => {
  const found = { code: 'PD113', check: 'ipset', severity: 'ok', certainty: 'certain', message: 'Sets.', nodes: ['x'] };
  const { api, flags } = await cluster({
    nodes: ['a', 'b'],
    agents: { a: enforcing('0.1.0', [found]) },
    podLog: JSON.stringify({ findings: [found] }),
  });
  const { code, stdout } = await podfence([...flags, '--json', '--run-pod', '--image', 'podfence:dev']);
  expect(code).toBe(1);
  const { findings } = JSON.parse(stdout) as Report;
  expect(findings.filter(({ check }) => check === 'ipset')).toEqual([expect.objectContaining({ nodes: ['a', 'b'] })]);
  expect(api.requests.filter((request) => /^POST .*\/pods$/.test(request))).toHaveLength(1);
  expect([api.namespaces.size, api.pods.length]).toEqual([0, 0]);
});

test('recorded: a pod whose output doctor does not understand is reported with its last words: exit code 3', async () => {
  const { of, outcome } = await reportOf(
    { nodes: ['a'], podLog: 'exec: podfence: not found\n' },
    '--run-pod',
    '--image',
    'busybox',
  );
  expect(outcome.code).toBe(3);
  expect(of('not-looked')).toEqual([
    expect.objectContaining({
      severity: 'warning',
      nodes: ['a'],
      message: expect.stringContaining('podfence: not found'),
    }),
  ]);
});

test.each(['SIGINT', 'SIGTERM'] as const)('recorded: %s while pods run removes them all the same', async (signal) => {
  const { api, flags } = await cluster({ nodes: ['a'] });
  const child = start(...flags, '--run-pod', '--image', 'podfence:dev');
  const outcome = ended(child);
  await api.asked(/^GET .*\/pods$/);
  await api.asked(/^GET \/api\/v1\/namespaces\/podfence-doctor-[^/]+\/pods$/);
  child.kill(signal);
  expect((await outcome).code).toBe(signal === 'SIGINT' ? 130 : 143);
  expect([api.namespaces.size, api.pods.length]).toEqual([0, 0]);
});

test('recorded: Ctrl-C during the creation of the namespace still removes it', async () => {
  const { api, flags } = await cluster({ nodes: ['a'], held: /^POST .*\/namespaces$/ });
  const child = start(...flags, '--run-pod', '--image', 'podfence:dev');
  const outcome = ended(child);
  await api.asked(/^POST .*\/namespaces$/);
  child.kill('SIGINT');
  api.release();
  expect((await outcome).code).toBe(130);
  expect([api.namespaces.size, api.pods.length]).toEqual([0, 0]);
});

test('recorded: a namespace is removed even if its creation was not answered and its removal is refused for a while', async () => {
  const removal = /^DELETE .*\/podfence-doctor-[^/]+$/;
  const { api, flags } = await cluster({
    nodes: ['a'],
    podLog: JSON.stringify({ findings: [] }),
    faults: [
      [/^POST .*\/namespaces$/, 'lost'],
      [removal, 429],
      [removal, 'lost'],
      [removal, 500],
    ],
  });
  const { code } = await podfence([...flags, '--run-pod', '--image', 'podfence:dev']);
  expect(code).toBe(3);
  expect([api.namespaces.size, api.pods.length]).toEqual([0, 0]);
});

test('recorded: a user who may not remove the namespace is told at once which command does', async () => {
  const { api, flags } = await cluster({
    nodes: ['a'],
    podLog: '{}',
    forbidden: /^DELETE/,
  });
  const { stderr } = await podfence([...flags, '--run-pod', '--image', 'podfence:dev']);
  const [name] = api.namespaces;
  expect(stderr).toContain(`the namespace ${name} could not be removed: HTTP 403`);
  expect(stderr).toContain(`kubectl delete namespace ${name}`);
});

test('recorded: a user who may not create the namespace is told so, and doctor looks for nothing to remove', async () => {
  const { api, flags } = await cluster({ nodes: ['a'], forbidden: /^(POST|DELETE) .*namespaces/ });
  const { code, stderr } = await podfence([...flags, '--run-pod', '--image', 'podfence:dev']);
  expect([code, stderr]).toEqual([3, expect.stringContaining('--run-pod cannot create what it needs: HTTP 403')]);
  expect(api.requests.filter((request) => request.startsWith('DELETE'))).toEqual([]);
});

describeAsRoot('doctor on a node', () => {
  test(
    'real: exit code 1 and the problem first, if pods are on a bridge that skips the packet filter',
    async () => {
      using node = Netns.create();
      using pod = Netns.create();
      shell(
        node,
        `ip link set lo up; ip link add cni0 type bridge; ip link add port1 type veth peer name eth0 netns ${pod.path}`,
      );
      shell(node, 'ip link set port1 master cni0; echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables');
      const child = node.run(() => start('doctor', '--json'));
      const { code, stdout } = await ended(child);
      expect(code).toBe(1);
      expect((JSON.parse(stdout) as Report).findings[0]).toMatchObject({ code: 'PD201', severity: 'problem' });
    },
    patience(90_000),
  );
});

/** Whole runs against a fake cluster whose pods report what the test decides. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Canary } from '../../src/canary/canary.ts';
import { CanaryNamespace } from '../../src/canary/canary-namespace.ts';
import { conclusionOf } from '../../src/canary/conclusion.ts';
import type { CanaryProgress } from '../../src/canary/progress.ts';
import type { CanaryResult } from '../../src/canary/result.ts';
import { canaryJson, canaryText } from '../../src/commands/canary/report.ts';
import { ApiConnection } from '../../src/kube/api-connection.ts';
import { loadKubeConfig } from '../../src/kube/kubeconfig.ts';
import { ended, podfence, start } from '../commands/podfence.ts';
import { type Asked, enforced, FakeCluster, type FakeClusterOptions, node } from './fake-cluster.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const OPTIONS = {
  image: 'podfence:test',
  pullPolicy: 'Never',
  nodes: [],
  within: 60_000,
  startLimit: 60_000,
  limit: 600_000,
  podLifetime: 600_000,
};

async function clusterOf(options: FakeClusterOptions = {}): Promise<FakeCluster> {
  const cluster = await FakeCluster.start(options);
  ends.push(() => cluster.stop());
  return cluster;
}

function kubeConfigOf(cluster: FakeCluster): string {
  const folder = mkdtempSync(join(tmpdir(), 'podfence-canary-'));
  ends.push(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'config'), cluster.kubeConfig());
  return join(folder, 'config');
}

function namespaceIn(cluster: FakeCluster, onLoad = () => {}): CanaryNamespace {
  const kubeconfig = kubeConfigOf(cluster);
  const connection = new ApiConnection(() => {
    onLoad();
    return loadKubeConfig({ kubeconfig });
  });
  ends.push(() => connection.close());
  return new CanaryNamespace(connection, cluster.clock, 'podfence-canary-test');
}

interface Run {
  readonly result: Promise<CanaryResult>;
  readonly namespace: CanaryNamespace;
  readonly abort: AbortController;
  readonly seen: CanaryProgress[];
  readonly soFar: () => CanaryResult | undefined;
  /** How often the kubeconfig was read. */
  readonly configs: () => number;
}

function run(
  cluster: FakeCluster,
  options: Partial<typeof OPTIONS> = {},
  onProgress: (progress: CanaryProgress) => void = () => {},
): Run {
  let loads = 0;
  const namespace = namespaceIn(cluster, () => loads++);
  const abort = new AbortController();
  const seen: CanaryProgress[] = [];
  const canary = new Canary(namespace, { ...OPTIONS, ...options }, cluster.clock, abort.signal, (step) => {
    seen.push(step);
    onProgress(step);
  });
  return { result: canary.run(() => {}), namespace, abort, seen, configs: () => loads, soFar: () => canary.soFar() };
}

async function resultOf(
  answer: FakeClusterOptions['answer'],
  options: FakeClusterOptions = {},
  within = OPTIONS.within,
): Promise<CanaryResult> {
  return await run(await clusterOf({ ...options, ...(answer === undefined ? {} : { answer }) }), { within }).result;
}

const byPolicies = (asked: Asked) => (enforced(asked) ? 'silent' : 'answered');

describe('a canary', () => {
  it('proves that policies are enforced', async () => {
    const result = await resultOf(byPolicies);
    expect(conclusionOf(result)).toBe('proved');
    expect(result.checks).toHaveLength(8);
    for (const { denied, allowed, deniedHeld, allowedHeld } of result.checks) {
      expect(denied).toMatchObject({ outcome: 'denied', by: 'silent' });
      expect(allowed).toMatchObject({ outcome: 'allowed' });
      expect(deniedHeld).toMatchObject({ outcome: 'cut' });
      expect(allowedHeld).toEqual({ outcome: 'goes on' });
    }
    for (const { outcome } of result.newPods) {
      expect(outcome).toMatchObject({ outcome: 'holds' });
      // The new pod tries every 20 ms, and its policy holds after 300 ms.
      expect(outcome.outcome === 'holds' && outcome.connections).toBe(16);
    }
    expect(canaryText(result, false)).toContain(
      'Proved: what the policies deny is denied (8 of 8), and what they allow is not.',
    );
    expect(canaryJson(result)).toMatchObject({ outcome: 'proved', nodes: ['node-1', 'node-2'], families: ['IPv4'] });
  });

  it('reports that nothing is enforced', async () => {
    const result = await resultOf(() => 'answered', {}, 8_000);
    expect(conclusionOf(result)).toBe('wrong');
    expect(result.checks.map(({ denied }) => denied.outcome)).toEqual(Array(8).fill('came through'));
    expect(canaryText(result, false)).toContain('NOT ENFORCED: everything that the policies deny came through.');
  });

  it('reports what is not enforced if only a part is', async () => {
    const result = await resultOf((asked) => (enforced(asked) && asked.to === 'server' ? 'refused' : 'answered'));
    expect(conclusionOf(result)).toBe('wrong');
    const outcomes = result.checks.map(({ check, denied }) => `${check.direction} ${denied.outcome}`);
    expect(new Set(outcomes)).toEqual(new Set(['ingress denied', 'egress came through']));
    expect(canaryText(result, false)).toContain('WRONG: 4 of 8 that the policies deny came through.');
  });

  it('reports that allowed connections are refused', async () => {
    const result = await resultOf((asked) =>
      enforced(asked) || (asked.policies.size > 0 && asked.to === 'server' && asked.from !== 'server')
        ? 'silent'
        : 'answered',
    );
    expect(conclusionOf(result)).toBe('wrong');
    expect(canaryText(result, false)).toContain('WRONG: 8 of 8 that they allow were refused.');
  });

  it('reports that some of the allowed packets are dropped silently', async () => {
    const result = await resultOf((asked) => {
      const isAllowed = asked.from.startsWith('client') && asked.to === 'server';
      if (asked.policies.size > 0 && isAllowed && asked.target.protocol === 'UDP' && !asked.target.held) {
        return Math.round(asked.age / asked.target.interval) % 2 === 0 ? 'silent' : 'answered';
      }
      return byPolicies(asked);
    });
    expect(conclusionOf(result)).toBe('wrong');
    const refused = result.checks.filter(({ allowed }) => allowed.outcome === 'refused');
    expect(new Set(refused.map(({ check }) => check.protocol))).toEqual(new Set(['UDP']));
    expect(canaryText(result, false)).toMatch(/dropped .* NO: \d+ of \d+ lost/);
  });

  it('distinguishes a denial that was broken from one that never held', async () => {
    const leaks = new Set<string>();
    const result = await resultOf((asked) => {
      if (!enforced(asked)) return 'answered';
      // Lets one connection of each pair through, six seconds after its policy.
      if (Math.max(...asked.policies.values()) < 6_000 || leaks.has(asked.target.id)) return 'silent';
      leaks.add(asked.target.id);
      return 'answered';
    });
    expect(result.checks.map(({ denied }) => denied)).toEqual(
      Array(8).fill(expect.objectContaining({ outcome: 'came through', answers: 1 })),
    );
    const text = canaryText(result, false);
    expect(text).toContain('WRONG: 8 of 8 that the policies deny came through.');
    expect(text).not.toContain('NOT ENFORCED');
  });

  it('watches denials for the full time even if new pods do not start', async () => {
    let oldest = 0;
    const result = await resultOf(
      (asked) => {
        oldest = Math.max(oldest, asked.policies.get('server-ingress') ?? 0);
        return byPolicies(asked);
      },
      {
        containerState: (pod) =>
          pod.startsWith('newcomer') ? { waiting: { reason: 'ErrImageNeverPull' } } : undefined,
      },
    );
    expect(result.newPods.map(({ outcome }) => outcome)).toEqual(
      Array(2).fill({ outcome: 'not proved', reason: expect.stringContaining('ErrImageNeverPull') }),
    );
    expect(result.checks.map(({ denied }) => denied.outcome)).toEqual(Array(8).fill('denied'));
    // The first denial, ten attempts with 4 s of silence, and 8 s more.
    expect(oldest).toBeGreaterThan(300 + 900 + 4_000 + 8_000);
  });

  it('proves nothing if the control pair does not connect while denied pairs are denied', async () => {
    const result = await resultOf((asked) =>
      enforced(asked) || (asked.policies.size > 0 && asked.from.startsWith('control-client')) ? 'silent' : 'answered',
    );
    expect(conclusionOf(result)).toBe('not proved');
    expect(result.checks.map(({ denied }) => denied.outcome)).toEqual(Array(8).fill('not proved'));
    expect(canaryText(result, false)).toContain('was not open throughout');
  });

  it('isolates a second time if the control pair was closed for a while', async () => {
    let round = 0;
    const cluster = await clusterOf({
      answer: (asked) => {
        const isClosed = round === 1 && asked.policies.size > 0 && asked.from.startsWith('control-client');
        return enforced(asked) || isClosed ? 'silent' : 'answered';
      },
    });
    const { result, seen } = run(cluster, {}, ({ step }) => {
      if (step === 'connect' && seen.at(-2)?.step !== 'connect') round++;
    });
    expect(await result).toMatchObject({ rounds: 2 });
    expect(conclusionOf(await result)).toBe('proved');
    expect(canaryText(await result, false)).toContain('The pairs were isolated 2 times');
  });

  it('reports what it saw in an aborted run as not proved', async () => {
    const cluster = await clusterOf({ answer: byPolicies });
    const { result, abort, soFar } = run(cluster, {}, ({ step }) => step === 'hold' && abort.abort(new Error('late')));
    expect(soFar()).toBeUndefined();
    await expect(result).rejects.toThrow('late');
    const seen = soFar();
    expect(seen && conclusionOf(seen)).toBe('not proved');
    expect(seen && canaryText(seen, false)).toMatch(
      /Not proved, stranger-1 to server by TCP IPv4: time ran out: up to then, with the policies in place, \d+ of \d+ attempts were answered\./,
    );
  });

  it('does not count a dead server as a denial', async () => {
    const result = await resultOf((asked) => {
      if (asked.to === 'server' && (asked.policies.get('server-ingress') ?? 0) > 500) return 'refused';
      return enforced(asked) ? 'silent' : 'answered';
    });
    const ingress = result.checks.filter(({ check }) => check.direction === 'ingress');
    expect(ingress.map(({ denied }) => denied.outcome)).toEqual(Array(4).fill('not proved'));
    expect(conclusionOf(result)).toBe('not proved');
  });

  it('proves nothing if nothing ever connects', async () => {
    const result = await resultOf(() => 'silent', {}, 8_000);
    expect(conclusionOf(result)).toBe('not proved');
    expect(canaryText(result, false)).toContain('it did not connect before isolation');
  });

  it('proves nothing about pairs that do not connect again', async () => {
    const result = await resultOf((asked) => (enforced(asked) || asked.isAfter ? 'silent' : 'answered'));
    expect(conclusionOf(result)).toBe('not proved');
  });

  it('tries both families if pods have both', async () => {
    const result = await resultOf(byPolicies, { families: ['IPv4', 'IPv6'] });
    expect(conclusionOf(result)).toBe('proved');
    expect(result.checks.filter(({ check }) => check.family === 'IPv6')).toHaveLength(8);
  });

  it('tries one node if only one takes pods, and says so', async () => {
    const tainted = node('node-0', { spec: { taints: [{ key: 'control-plane', effect: 'NoSchedule' }] } });
    const result = await resultOf(byPolicies, {
      nodes: [tainted, node('node-1'), node('node-2', { spec: { unschedulable: true } })],
    });
    expect(conclusionOf(result)).toBe('proved');
    expect(result.nodes).toEqual(['node-1']);
    expect(new Set(result.checks.map(({ check }) => check.place))).toEqual(new Set(['one node']));
    expect(canaryText(result, false)).toContain('Only one node accepts pods');
  });

  it('copes with logs that are cut off and an API server that is away for a while', async () => {
    const cluster = await clusterOf({ answer: byPolicies });
    const { result, namespace, seen } = run(cluster);
    await cluster.until(() => cluster.created.some(({ kind }) => kind === 'NetworkPolicy'));
    cluster.cutConnections();
    await cluster.until(() => seen.at(-1)?.step === 'isolate');
    await cluster.goAway();
    await cluster.comeBack();
    expect(conclusionOf(await result)).toBe('proved');
    await namespace.remove(new AbortController().signal);
    expect(cluster.namespaces.size).toBe(0);
  });
});

describe('expired credentials', () => {
  it('are read again, also for logs', async () => {
    const cluster = await clusterOf({ answer: byPolicies });
    cluster.fail('GET', /nodes$/, 401);
    cluster.fail('GET', /pods$/, 401);
    cluster.fail('GET', /log$/, 401);
    const { result, configs } = run(cluster);
    expect(conclusionOf(await result)).toBe('proved');
    expect(configs()).toBe(4);
  });

  it('end the run if the new ones are refused too', async () => {
    const cluster = await clusterOf();
    cluster.failAlways('GET', /nodes$/, 401);
    await expect(run(cluster).result).rejects.toThrow('the API server refuses: HTTP 401');
  });
});

describe('its objects', () => {
  it('are in a namespace that enforces the restricted profile, with pods that meet it', async () => {
    const cluster = await clusterOf({ answer: byPolicies });
    await run(cluster).result;
    const [namespace, ...others] = cluster.created;
    expect(namespace?.object).toMatchObject({
      metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    });
    const pods = others.filter(({ kind }) => kind === 'Pod');
    expect(pods).toHaveLength(10);
    for (const { object } of pods) {
      expect(object).toMatchObject({
        spec: {
          automountServiceAccountToken: false,
          restartPolicy: 'Never',
          activeDeadlineSeconds: 600,
          securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [
            {
              securityContext: {
                allowPrivilegeEscalation: false,
                capabilities: { drop: ['ALL'] },
                readOnlyRootFilesystem: true,
              },
            },
          ],
        },
      });
    }
    expect(others.filter(({ kind }) => kind === 'NetworkPolicy')).toHaveLength(3);
  });

  it('are removed when the run is interrupted', async () => {
    const cluster = await clusterOf({ answer: byPolicies });
    const { result, namespace, abort } = run(cluster);
    await cluster.until(() => cluster.created.some(({ kind }) => kind === 'NetworkPolicy'));
    abort.abort(new Error('interrupted'));
    await expect(result).rejects.toThrow('interrupted');
    await namespace.remove(new AbortController().signal);
    expect(cluster.namespaces.size).toBe(0);
  });

  it('are removed even if the response to their creation was lost', async () => {
    const cluster = await clusterOf();
    cluster.fail('POST', /namespaces$/, 'lose the answer');
    const { result, namespace, abort } = run(cluster);
    await cluster.until(() => cluster.created.some(({ kind }) => kind === 'Pod'));
    abort.abort(new Error('interrupted'));
    await expect(result).rejects.toThrow('interrupted');
    await namespace.remove(new AbortController().signal);
    expect(cluster.namespaces.size).toBe(0);
  });

  it('are removed once the API server is back', async () => {
    const cluster = await clusterOf();
    const { result, namespace, abort } = run(cluster);
    await cluster.until(() => cluster.namespaces.size > 0);
    abort.abort(new Error('interrupted'));
    await expect(result).rejects.toThrow('interrupted');
    await cluster.goAway();
    const removed = namespace.remove(new AbortController().signal);
    await cluster.comeBack();
    await removed;
    expect(cluster.namespaces.size).toBe(0);
  });

  it('are not looked for if none were created', async () => {
    const cluster = await clusterOf();
    await cluster.goAway();
    await namespaceIn(cluster).remove(new AbortController().signal);
  });

  it('are reported if they stay, with the command that removes them', async () => {
    const cluster = await clusterOf();
    const namespace = namespaceIn(cluster);
    await namespace.create(new AbortController().signal);
    const given = AbortSignal.abort();
    await expect(namespace.remove(given)).rejects.toThrow(
      'kubectl delete namespace -l app.kubernetes.io/name=podfence-canary',
    );
  });
});

describe('nothing is proved, and a sentence says why,', () => {
  it.each([
    [
      'the image is not on the node',
      { waiting: { reason: 'ErrImageNeverPull', message: 'not present' } },
      /the image podfence:test is not on the node and cannot be pulled \(ErrImageNeverPull: not present\)\. See --image/,
    ],
    ['a pod ends', { terminated: { exitCode: 2, reason: 'Error' } }, /pod .* ended \(Error, exit code 2\)/],
    [
      'a container cannot start',
      { waiting: { reason: 'CreateContainerConfigError' } },
      /cannot be started \(CreateContainerConfigError\)/,
    ],
    [
      'pods wait for too long',
      { waiting: { reason: 'ContainerCreating' } },
      /did not start within 8 s: pod .* is waiting \(ContainerCreating\)/,
    ],
  ])('if %s', async (_, state, message) => {
    const cluster = await clusterOf({ containerState: () => state });
    await expect(run(cluster, { startLimit: 8_000 }).result).rejects.toThrow(message);
  });

  it('if logs cannot be read', async () => {
    const cluster = await clusterOf();
    cluster.failAlways('GET', /log$/, 502);
    await expect(run(cluster, { startLimit: 8_000 }).result).rejects.toThrow(
      /pod server runs but has not reported yet: its log cannot be read: HTTP 502: a fault of the test/,
    );
  });

  it('if rights are missing', async () => {
    const cluster = await clusterOf();
    cluster.fail('POST', /namespaces$/, 403);
    await expect(run(cluster).result).rejects.toThrow(
      /HTTP 403.*The rights that podfence canary needs are in docs\/canary\.md/,
    );
  });

  it.each([
    [
      'no node takes pods',
      [node('a', { spec: { unschedulable: true } })],
      [],
      'no node takes pods: a (it is cordoned)',
    ],
    ['there are no nodes', [], [], 'the cluster has none'],
    ['a node that is asked for is not there', [node('a')], ['b'], 'there is no node b; there are: a'],
    ['a node is asked for twice', [node('a'), node('b')], ['a', 'a'], 'node a is given twice'],
    [
      'a node that is asked for is not Ready',
      [{ metadata: { name: 'a' } }],
      ['a'],
      'node a takes no pods: it is not Ready',
    ],
  ])('if %s', async (_, nodes, asked, message) => {
    const cluster = await clusterOf({ nodes });
    await expect(run(cluster, { nodes: asked as never[] }).result).rejects.toThrow(message);
    expect(cluster.namespaces.size).toBe(0);
  });
});

describe('the command', () => {
  const waiting = { containerState: () => ({ waiting: { reason: 'ContainerCreating' } }), speed: 1 };

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('removes what it made after %s', async (signal, code) => {
    const cluster = await clusterOf(waiting);
    const child = start('canary', '--kubeconfig', kubeConfigOf(cluster));
    const outcome = ended(child);
    await cluster.until(() => cluster.created.some(({ kind }) => kind === 'Pod'));
    child.kill(signal);
    expect((await outcome).code).toBe(code);
    expect(cluster.namespaces.size).toBe(0);
    expect(cluster.created.length).toBeGreaterThan(0);
  });

  it('exits with 3 if nothing can be proved, and says so in JSON too', async () => {
    const cluster = await clusterOf({ containerState: () => ({ waiting: { reason: 'ErrImageNeverPull' } }), speed: 1 });
    const { code, stdout, stderr } = await podfence(['canary', '--json', '--kubeconfig', kubeConfigOf(cluster)]);
    expect(code).toBe(3);
    expect(stderr).toContain('podfence: nothing is proved: the image podfence:');
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'not proved', reason: expect.stringContaining('--image') });
    expect(cluster.namespaces.size).toBe(0);
  });

  it('prints its findings before it removes the namespace, so that an interrupted removal loses none', async () => {
    const cluster = await clusterOf({ nodes: [node('node-1')], speed: 1 });
    const removal = ['DELETE', /namespaces.podfence-canary-[^/]*$/] as const;
    cluster.failAlways(...removal, 503);
    const child = start('canary', '--within', '2', '--kubeconfig', kubeConfigOf(cluster));
    const outcome = ended(child);
    await cluster.asked(...removal);
    child.kill('SIGINT');
    await cluster.asked(...removal);
    child.kill('SIGINT');
    const { code, stdout } = await outcome;
    expect(code).toBe(130);
    expect(stdout).toContain('NOT ENFORCED: everything that the policies deny came through.');
  });

  it('reports what it saw until the timeout as not proved', async () => {
    const cluster = await clusterOf({ nodes: [node('node-1')], speed: 1 });
    const args = ['canary', '--json', '--timeout', '15', '--kubeconfig', kubeConfigOf(cluster)];
    const { code, stdout, stderr } = await podfence(args);
    expect(code).toBe(3);
    expect(stderr).toContain('within 15 s');
    const told = JSON.parse(stdout);
    expect(told).toMatchObject({ outcome: 'not proved', reason: expect.stringContaining('--timeout') });
    expect(told.checks).toHaveLength(4);
    for (const { denied, allowed } of told.checks) {
      expect([denied.outcome, allowed.outcome]).toEqual(['not proved', 'not proved']);
      expect(denied.reason).toMatch(
        /with the policies in place, \d+ of \d+ attempts were answered|before the policies were created/,
      );
    }
    expect(cluster.namespaces.size).toBe(0);
  });

  it('ends when the timeout expires', async () => {
    const cluster = await clusterOf(waiting);
    const { code, stderr } = await podfence(['canary', '--timeout', '1', '--kubeconfig', kubeConfigOf(cluster)]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/within 1 s/);
    expect(cluster.namespaces.size).toBe(0);
  });

  it.each([
    [['--within', 'soon'], 'It must be a whole number'],
    [['--image-pull-policy', 'Perhaps'], 'Allowed choices are'],
    [['--node', 'a', '--node', 'b', '--node', 'c'], 'two nodes at most'],
    [['--kubeconfig', '/nowhere'], 'Kubeconfig /nowhere cannot be read'],
  ])('exits with 2 for %j', async (args, message) => {
    const { code, stderr } = await podfence(['canary', ...args]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

/**
 * Everything that can break on a cluster while pods talk: nothing denied may pass, nothing allowed
 * may break, and changes made meanwhile are in force afterwards.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster } from './cluster.ts';
import { FAKETIME, fakeClock } from './fake-clock.ts';
import { agentContainer, install, restartsOfAgents, rolledOut } from './installation.ts';
import { Machine, onMachine } from './machine.ts';
import { ownRulesOf } from './node-rules.ts';
import { Knocking, Namespace, Stream } from './pods.ts';
import { say } from './shell.ts';
import { until } from './until.ts';

const cluster = new Cluster();
const machine = Machine.of(cluster) as Machine;
const ONLY_CLIENTS = {
  podSelector: { matchLabels: { app: 'server' } },
  ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
};

let own: Namespace;
let first = '';
let second = '';
let nodes = 0;
let address = '';
/** Allowed, and open all the time. */
let stream: Stream;
/** Denied connections, 20 a second. */
let denied: Knocking;
/**
 * Answered connections from before its policies were known on its node, which are another test's
 * subject.
 */
let before = 0;

const describeOnMachine = describe.skipIf(machine === undefined);

beforeAll(async () => {
  if (machine === undefined) return;
  await install(cluster);
  const names = await cluster.nodes();
  [first = '', second = first] = names;
  nodes = names.length;
  own = await Namespace.create(cluster, 'faults');
  await own.pods({
    server: { labels: { app: 'server' }, node: first },
    client: { labels: { app: 'client' }, node: second },
    stranger: { labels: { app: 'stranger' }, node: second },
  });
  address = await own.addressOf('server');
  await own.policy('server', ONLY_CLIENTS);
  await settled();
  await own.pods({
    streaming: { labels: { app: 'client' }, node: second, program: ['stream.ts', address, '8080'] },
    knocking: { labels: { app: 'stranger' }, node: second, program: ['knock.ts', address, '8080'] },
  });
  stream = own.followed(Stream, 'streaming', second);
  denied = own.followed(Knocking, 'knocking', second);
  await Promise.all([stream.goesOn(), denied.goesOn()]);
  before = denied.answered;
});
afterAll(async () => {
  await stream?.[Symbol.asyncDispose]();
  await denied?.[Symbol.asyncDispose]();
  await own?.delete();
});

/** Expects that clients are answered and strangers are not. */
async function settled(): Promise<void> {
  const server = `tcp:${address}:8080`;
  await Promise.all([own.asks('client', { [server]: 'server' }), own.asks('stranger', { [server]: 'silent' })]);
}

/** Expects that a change made now comes into force: deny, and allow again. */
async function followsChanges(): Promise<void> {
  await own.policy('server', { ...ONLY_CLIENTS, ingress: [] });
  await own.asks('client', { [`tcp:${address}:8080`]: 'silent' });
  await own.policy('server', ONLY_CLIENTS);
  await settled();
}

describeOnMachine(onMachine('an agent'), () => {
  test('has NET_ADMIN and NET_RAW and nothing else, cannot gain more, and cannot write its root', async () => {
    for (const node of new Set([first, second])) {
      const pids = await machine.agentPids(node);
      expect(pids.length).toBeGreaterThan(0);
      for (const pid of pids) {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)$`, 'm').exec(status)?.[1];
        // Bits 12 and 13 of linux/capability.h.
        for (const set of ['CapEff', 'CapPrm', 'CapBnd']) expect(field(set)).toBe('0000000000003000');
        expect(field('NoNewPrivs')).toBe('1');
        // SECCOMP_MODE_FILTER of linux/seccomp.h.
        expect(field('Seccomp')).toBe('2');
        const root = /^\S+ \S+ \S+ \S+ \/ (\S+)/m.exec(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'))?.[1];
        expect(root?.split(',')).toContain('ro');
      }
    }
  });
});

describeOnMachine(onMachine('while pods talk'), () => {
  /** What must hold after each fault. */
  async function nothingHappened(): Promise<void> {
    await Promise.all([stream.goesOn(), denied.goesOn()]);
    expect(stream.ended).toBeUndefined();
    expect(denied.answered).toBe(before);
    say(`${denied.tried} denied connections tried, ${denied.answered - before} answered`);
  }

  test('the API server is killed and started again', async () => {
    await machine.stopApiServer();
    await Promise.all([stream.goesOn(20), denied.goesOn()]);
    await machine.startApiServer();
    await nothingHappened();
    await followsChanges();
  });

  test('the API server hangs for ten seconds', async () => {
    await machine.whileApiServerHangs(async () => {
      await Promise.all([stream.goesOn(100), denied.goesOn(200)]);
    });
    await nothingHappened();
    await followsChanges();
  });

  test('a node is cut off while the API server is restarted, policies change and its history is compacted: 410', async () => {
    const expired = async () => {
      const { kinds } = (await cluster.statusOf(first)).source;
      return kinds.find(({ kind }) => kind === 'NetworkPolicy')?.restarts.expired ?? 0;
    };
    const answered = await expired();
    await machine.whileCutOff(first, async () => {
      // A server knows no version from before its start. The configmap gives it a version that the
      // agent lacks, because the agent does not watch configmaps. Policies change only after the
      // restart: the kernel would still send what the server was about to send when it died.
      await own.kubectl('create', 'configmap', 'newer');
      await machine.stopApiServer();
      await machine.startApiServer();
      await own.policy('other', { podSelector: { matchLabels: { app: 'nobody' } } });
      await own.kubectl('delete', 'networkpolicy', 'other');
      await own.policy('server', { ...ONLY_CLIENTS, ingress: [] });
      await machine.compact();
    });
    await stream.fallsSilent();
    await until('the watch of policies is answered 410', async () => (await expired()) > answered);
    await own.policy('server', ONLY_CLIENTS);
    await settled();
    await nothingHappened();
    await followsChanges();
  });

  test('containerd and the kubelet of a node are killed and started again', async () => {
    await machine.restart('containerd', first);
    await machine.restart('kubelet', first);
    await nothingHappened();
    await own.pods({ later: { labels: { app: 'server' }, node: first } });
    const later = `tcp:${await own.addressOf('later')}:8080`;
    await own.asks('client', { [later]: 'later' });
    await own.asks('stranger', { [later]: 'silent' });
    await own.kubectl('delete', 'pod', 'later');
  });

  test('the agents are killed', async () => {
    const restarts = await restartsOfAgents(cluster);
    for (const node of new Set([first, second]))
      for (const pid of await machine.agentPids(node)) process.kill(pid, 'SIGKILL');
    await denied.goesOn();
    await until('every agent was started again', async () => {
      const now = await restartsOfAgents(cluster);
      return [...restarts].every(([pod, count]) => (now.get(pod) ?? 0) > count);
    });
    await rolledOut(cluster);
    await nothingHappened();
    await followsChanges();
  });

  test('the agents run out of memory, again and again, until their limit is raised', async () => {
    // On all nodes at once: one by one, the first failing agent would keep the others unchanged.
    const limit = (memory: string) => {
      const resources = { limits: { memory }, requests: { memory: '32Mi' } };
      const spec = {
        updateStrategy: { rollingUpdate: { maxUnavailable: '100%' } },
        template: { spec: { containers: [{ name: 'agent', resources }] } },
      };
      return cluster.kubectl([
        '-n',
        'podfence-system',
        'patch',
        'daemonset',
        'podfence',
        '-p',
        JSON.stringify({ spec }),
      ]);
    };
    await limit('48Mi');
    const isKilled = async () => {
      const { restartCount = 0, lastState } = (await agentContainer(cluster, first)) ?? {};
      return restartCount >= 2 && lastState?.terminated?.reason === 'OOMKilled';
    };
    await until(`the agent of ${first} was killed for its memory more than once`, isKilled, () => '', 120_000);
    await denied.goesOn();
    await limit('1Gi');
    await rolledOut(cluster);
    await nothingHappened();
    await install(cluster);
    await followsChanges();
  });

  const clocks = FAKETIME === undefined ? ' (needs libfaketime)' : '';
  test.skipIf(FAKETIME === undefined)(`the clock of the agents jumps forward by a day and back${clocks}`, async () => {
    const clock = await fakeClock(cluster, FAKETIME as string);
    /** Returns how many days an agent's clock is ahead, by the time of its last change. */
    const daysAhead = async () => {
      const { lastChange } = (await cluster.statusOf(first)).lag;
      return (Date.parse(lastChange?.at ?? '') - Date.now()) / 86_400_000;
    };
    try {
      await rolledOut(cluster);
      for (const days of [1, 0]) {
        await clock.jump(`+${days}d`);
        await nothingHappened();
        await followsChanges();
        expect(await daysAhead()).toBeCloseTo(days, 1);
      }
    } finally {
      await clock.remove();
    }
    await rolledOut(cluster);
    await nothingHappened();
  });

  test('the agents are rolled out again', async () => {
    await cluster.kubectl(['-n', 'podfence-system', 'rollout', 'restart', 'daemonset', 'podfence']);
    await rolledOut(cluster);
    await nothingHappened();
    await followsChanges();
  });
});

describeOnMachine(onMachine('pods on a bridge that bypasses the packet filter (bridge-nf-call is off)'), () => {
  test('are open to each other, and the agent and doctor say so', async () => {
    const bridgeFilter = (value: 0 | 1) =>
      cluster.onNode(
        first,
        `sysctl -w net.bridge.bridge-nf-call-iptables=${value} net.bridge.bridge-nf-call-ip6tables=${value}`,
      );
    const { back } = machine.wireToBridge(first);
    try {
      await bridgeFilter(1);
      await own.pods({
        bridged: { labels: { app: 'server' }, node: first },
        beside: { labels: { app: 'stranger' }, node: first },
      });
      const bridged = `tcp:${await own.addressOf('bridged')}:8080`;
      await own.asks('beside', { [bridged]: 'silent' });
      await bridgeFilter(0);
      await own.asks('beside', { [bridged]: 'bridged' });
      const told = /on the bridge cni0, and IPv4(?: and IPv6)? packets between them do not pass the packet filter/;
      expect(await statusOfNewAgent(first)).toMatch(told);
      const { stdout } = await cluster.asDocumented(`podfence doctor --kubeconfig ${cluster.target.kubeconfig}`);
      expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(told);
      await bridgeFilter(1);
      await own.asks('beside', { [bridged]: 'silent' });
      expect(await statusOfNewAgent(first)).not.toMatch(told);
    } finally {
      await bridgeFilter(1);
      await own.kubectl('delete', 'pod', 'bridged', 'beside', '--ignore-not-found');
      await back();
    }
  });

  /** Restarts the agent of a node and returns what it finds once it has checked its node. */
  async function statusOfNewAgent(node: string): Promise<string> {
    const name = (await cluster.agents()).get(node)?.metadata.name ?? '';
    await cluster.kubectl(['-n', 'podfence-system', 'delete', 'pod', name]);
    await rolledOut(cluster);
    let findings: readonly unknown[] = [];
    await until('the agent has checked its node', async () => {
      ({ findings } = await cluster.statusOf(node));
      return findings.length > 0;
    });
    return JSON.stringify(findings);
  }
});

describeOnMachine(onMachine('a node that loses its power'), () => {
  test('enforces again when it is back, for the pods that start there', async () => {
    expect(await ownRulesOf(cluster, first)).not.toEqual([]);
    const before = await agentContainer(cluster, first);
    await machine.reboot(first, nodes);
    expect(await ownRulesOf(cluster, first)).toEqual([]);
    await until('the node has another agent, which is ready', async () => {
      const now = await agentContainer(cluster, first);
      return now?.ready === true && now.containerID !== before?.containerID;
    });
    await rolledOut(cluster);
    await own.kubectl('delete', 'pod', 'server', '--force', '--grace-period=0');
    await own.pods({ server: { labels: { app: 'server' }, node: first } });
    address = await own.addressOf('server');
    await settled();
    await followsChanges();
  });
});

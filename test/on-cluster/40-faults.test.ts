/**
 * What breaks on a cluster, while pods talk: nothing denied may pass, nothing allowed may break, and what changed meanwhile is in force
 * afterwards.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster } from './cluster.ts';
import { install, rolledOut } from './installation.ts';
import { Machine } from './machine.ts';
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
/** Allowed and open all the while. */
let stream: Stream;
/** Denied, 20 times a second. */
let denied: Knocking;
/** Those of its connections that were open before its policies were known on its node, which is another matter. */
let before = 0;

const describeOnMachine = describe.skipIf(machine === undefined);
const title = (text: string) => (machine === undefined ? `${text} (needs a cluster of this machine)` : text);

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

/** Clients are answered, strangers are not. */
async function settled(): Promise<void> {
  const server = `tcp:${address}:8080`;
  await Promise.all([own.asks('client', { [server]: 'server' }), own.asks('stranger', { [server]: 'silent' })]);
}

/** A change that is made now comes into force: out, and back in. */
async function followsChanges(): Promise<void> {
  await own.policy('server', { ...ONLY_CLIENTS, ingress: [] });
  await own.asks('client', { [`tcp:${address}:8080`]: 'silent' });
  await own.policy('server', ONLY_CLIENTS);
  await settled();
}

describeOnMachine(title('while pods talk'), () => {
  /** What must hold after each fault. */
  async function nothingHappened(): Promise<void> {
    await Promise.all([stream.goesOn(), denied.goesOn()]);
    expect(stream.ended).toBeUndefined();
    expect(denied.answered).toBe(before);
    say(`${denied.tried} denied connections tried, ${denied.answered - before} answered`);
  }

  test('the API server is killed, and comes back', async () => {
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

  test('a node is cut off while policies change, the API server is restarted and its history compacted: 410', async () => {
    await machine.whileCutOff(first, async () => {
      await own.policy('other', { podSelector: { matchLabels: { app: 'nobody' } } });
      await own.kubectl('delete', 'networkpolicy', 'other');
      await own.policy('server', { ...ONLY_CLIENTS, ingress: [] });
      await machine.stopApiServer();
      await machine.startApiServer();
      await machine.compact();
    });
    await stream.fallsSilent();
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
    const restarts = await restartsOfAgents();
    for (const node of new Set([first, second]))
      for (const pid of await machine.agentPids(node)) process.kill(pid, 'SIGKILL');
    await denied.goesOn();
    await until('every agent was started again', async () => (await restartsOfAgents()) > restarts);
    await rolledOut(cluster);
    await nothingHappened();
    await followsChanges();
  });

  test('the agents run out of memory, again and again, until their limit is raised', async () => {
    const limit = (memory: string) =>
      cluster.kubectl([
        ...['-n', 'podfence-system', 'set', 'resources', 'daemonset', 'podfence', '-c', 'agent'],
        ...[`--limits=memory=${memory}`, '--requests=memory=32Mi'],
      ]);
    await limit('48Mi');
    await until('an agent was killed for its memory', async () => {
      const agents = [...(await cluster.agents()).values()];
      return JSON.stringify(agents.map(({ status }) => status)).includes('OOMKilled');
    });
    await denied.goesOn();
    await limit('1Gi');
    await rolledOut(cluster);
    await nothingHappened();
    await install(cluster);
    await followsChanges();
  });

  test('the clock of the agents jumps by a day, forth and back', async () => {
    const clock = await machine.fakeClock(cluster);
    await rolledOut(cluster);
    await clock.jump('+1d');
    await nothingHappened();
    await followsChanges();
    await clock.jump('-1d');
    await nothingHappened();
    await followsChanges();
    await clock.remove();
    await rolledOut(cluster);
    await nothingHappened();
  });

  test('the agents are rolled', async () => {
    await cluster.kubectl(['-n', 'podfence-system', 'rollout', 'restart', 'daemonset', 'podfence']);
    await rolledOut(cluster);
    await nothingHappened();
    await followsChanges();
  });
});

describeOnMachine(title('pods on a bridge that hands nothing to the packet filter (bridge-nf-call is off)'), () => {
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
      const { stdout } = await cluster.asDocumented('podfence doctor');
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

  /** What an agent says that looks at its node anew, once it has looked. */
  async function statusOfNewAgent(node: string): Promise<string> {
    const name = async () => (await cluster.agents()).get(node)?.metadata.name ?? '';
    await cluster.kubectl(['-n', 'podfence-system', 'delete', 'pod', await name()]);
    await rolledOut(cluster);
    let status = '';
    await until('the agent has looked at its node', async () => {
      status = await cluster.kubectl(['get', '--raw', cluster.agentUrl(await name(), '/status')], { quiet: true });
      return (JSON.parse(status) as { findings: readonly unknown[] }).findings.length > 0;
    });
    return status;
  }
});

describeOnMachine(title('a node that loses its power'), () => {
  test('enforces again when it is back, for the pods that start there', async () => {
    await machine.reboot(first, nodes);
    await until('the node is Ready', async () => {
      const { conditions } = (await cluster.get('node', first)).status as {
        conditions: { type: string; status: string; lastTransitionTime: string }[];
      };
      return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
    });
    await rolledOut(cluster);
    await own.kubectl('delete', 'pod', 'server', '--force', '--grace-period=0');
    await own.pods({ server: { labels: { app: 'server' }, node: first } });
    address = await own.addressOf('server');
    await settled();
    await followsChanges();
  });
});

async function restartsOfAgents(): Promise<number> {
  const agents = [...(await cluster.agents()).values()];
  return agents
    .flatMap(({ status }) => (status.containerStatuses ?? []) as { restartCount: number }[])
    .reduce((sum, { restartCount }) => sum + restartCount, 0);
}

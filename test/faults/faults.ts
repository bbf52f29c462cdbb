/** Everything that can go wrong on a node, and how it is done to a running agent. */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault as ApiFault } from '../kube/faults.ts';
import { patience } from '../patience.ts';
import { datagramFlood, fillKernelTable, portScan, synFlood } from './floods.ts';
import type { Scene } from './scene.ts';

export interface Fault {
  readonly name: string;
  /** How the fault is caused: a sentence without a subject. */
  readonly how: string;
  /** The agent's flags, if it needs unusual ones. */
  readonly flags?: readonly string[];
  readonly log?: 'full disk';
  /** Denied packets may get through: at most this many, if there is a bound, and why. */
  readonly opens?: { readonly most: number; readonly why: string };
  /** Set if it takes too long to be one of the random faults. */
  readonly long?: true;
  /** Resolves when the fault is over; a string is a further result to report. */
  meet(scene: Scene): Promise<unknown>;
}

const KINDS = ['Namespace', 'Pod', 'NetworkPolicy'] as const;

/** Cut off in the middle of an event's line. */
const HALF_AN_EVENT = '{"type":"MODIFIED","object":{"kind":"NetworkPolicy","metadata":{"na';
/** How long requests of the agent may take, in ms: it waits longer after each failure. */
const PATIENCE = patience(60_000);
const DAY = 86_400_000;
const POLICIES = { pods: 1000, namespaces: 100, policies: 100, podBytes: 0 };
const SMALL_TABLE = 256;
const MAX_KERNEL_FLOWS = '/proc/sys/net/netfilter/nf_conntrack_max';

const FLUSHED = {
  most: 200,
  why: 'until they are in place again nothing hands packets over: 100 ms of this traffic are 200 packets',
};

export const FAULTS: readonly Fault[] = [
  {
    name: 'threads that judge end',
    how: 'ends both threads at once, wherever they are',
    async meet(scene) {
      const restarts = () => scene.agent.metrics().then((metrics) => metrics.sum('podfence_worker_restarts_total'));
      const before = await restarts();
      await scene.doToAgent({ what: 'end-threads' });
      await scene.agent.shows(
        'other threads',
        ({ workers }) => workers.restarts > before && workers.alive === workers.wanted,
      );
    },
  },
  {
    name: 'main thread blocked for a second',
    how: 'blocks the main thread while the cluster changes',
    async meet(scene) {
      await scene.doToAgent({ what: 'block', milliseconds: 1000 });
      await scene.change();
    },
  },
  {
    name: 'main thread blocked for 10 s',
    how: 'blocks the main thread while the cluster changes',
    long: true,
    async meet(scene) {
      await scene.doToAgent({ what: 'block', milliseconds: 10_000 });
      await scene.change();
      await delay(10_000);
    },
  },
  {
    name: 'process stopped for 2 s, under a flood',
    how: 'sends SIGSTOP and SIGCONT, and 20,000 new flows meanwhile: the queues overflow',
    async meet(scene) {
      process.kill(scene.agent.pid, 'SIGSTOP');
      try {
        await datagramFlood(scene.pods.friend, scene.pods.server, 20_000, 64);
        await delay(2000);
      } finally {
        process.kill(scene.agent.pid, 'SIGCONT');
      }
      const { queues } = await scene.agent.status();
      return counted(
        queues.reduce((sum, { droppedByKernel }) => sum + droppedByKernel, 0),
        'packets found a full queue',
      );
    },
  },
  {
    name: 'agent killed',
    how: 'sends SIGKILL, waits a second and starts another',
    long: true,
    async meet(scene) {
      await scene.agent.kill();
      await delay(1000);
      await scene.startAgent();
    },
  },
  {
    name: 'tools are slow',
    how: 'lets each run of a tool take 300 ms longer while another pod is isolated',
    meet: (scene) => scene.whileToolsAre('sleep 0.3', 500),
  },
  {
    name: 'tools fail',
    how: 'lets each run of a tool fail while another pod is isolated',
    meet: (scene) => scene.whileToolsAre('echo broken >&2; exit 1', 500),
  },
  {
    name: 'rules flushed',
    how: 'flushes the table in which packets are handed over (`iptables -t security -F`)',
    opens: FLUSHED,
    long: true,
    meet: (scene) => untilRepaired(scene, 'iptables -t security -F'),
  },
  {
    name: 'all rules flushed',
    how: 'flushes all rules and sets of nftables, iptables included (`nft flush ruleset`)',
    opens: FLUSHED,
    long: true,
    meet: (scene) => untilRepaired(scene, 'nft flush ruleset'),
  },
  {
    name: 'rules flushed while a tool fails',
    how: 'lets each run of iptables-restore fail, flushes the whole ruleset twice, and lets it run again after a second',
    opens: {
      most: Number.POSITIVE_INFINITY,
      why: 'nothing can be put in place before the tool runs: the next look does it',
    },
    long: true,
    async meet(scene) {
      const repairs = (await scene.agent.status()).steeringRepairs;
      await scene.withTools('case $0 in *restore) exit 1;; esac', async () => {
        for (let i = 0; i < 2; i++) {
          await scene.world.onNode('nft', 'flush', 'ruleset');
          await delay(500);
        }
      });
      await scene.agent.shows('that rules were put in place again', ({ steeringRepairs }) => steeringRepairs > repairs);
    },
  },
  {
    name: 'sets flushed',
    how: 'empties the sets of isolated addresses',
    opens: {
      most: Number.POSITIVE_INFINITY,
      why: 'the kernel reports no change of a set: until the next look, every 10 s, nobody is isolated',
    },
    long: true,
    meet: (scene) => untilRepaired(scene, 'for set in $(ipset list -name); do ipset flush $set; done'),
  },
  {
    name: 'rules of others come and go',
    how: 'adds 2,000 rules of other software and takes them away, four times',
    async meet(scene) {
      const rules = Array.from({ length: 2000 }, (_, i) => `-A OTHERS -s 198.18.${i >> 8}.${i & 255} -j RETURN`);
      const text = ['*filter', ':OTHERS -', ...rules, 'COMMIT'].join('\\n');
      const command = `printf '${text}\\n' | iptables-restore --noflush && iptables -F OTHERS && iptables -X OTHERS`;
      for (let i = 0; i < 4; i++) await scene.world.onNode('sh', '-c', command);
    },
  },
  {
    name: 'API server answers garbage',
    how: 'ends each watch in the middle of an event, and answers what follows with a page of text, a broken connection and an error',
    async meet(scene) {
      await scene.world.api.call('sendToWatches', HALF_AN_EVENT);
      const answers = [{ body: '<html>' }, 'cut', { status: 500 }] as const;
      await answered(
        scene,
        KINDS.map((kind, i) => ({ kind, answer: answers[i] as ApiFault['answer'] })),
      );
    },
  },
  {
    name: 'API server breaks off lists',
    how: 'lets each kind be listed anew, and answers with half a list',
    long: true,
    async meet(scene) {
      const answers: readonly ApiFault[] = [
        { type: 'watch', answer: { status: 410, reason: 'Expired' } },
        // Makes the agent ask for the list in the other way, as one answer.
        { type: 'streaming-list', answer: { status: 422 } },
        { type: 'list', answer: 'half' },
      ];
      await answered(
        scene,
        KINDS.flatMap((kind) => answers.map((each) => ({ ...each, kind }))),
      );
    },
  },
  {
    name: 'half objects',
    how: 'sends events with objects without names, without specs and with numbers for texts',
    async meet({ world }) {
      for (const [kind, version] of [
        ['NetworkPolicy', 'networking.k8s.io/v1'],
        ['Pod', 'v1'],
        ['Namespace', 'v1'],
      ] as const) {
        for (const object of [
          { metadata: {} },
          { metadata: { name: 7, namespace: ['shop'] }, spec: 'none' },
          {
            metadata: { name: 'half', namespace: 'elsewhere' },
            spec: { podSelector: 1, ingress: {}, nodeName: {} },
            status: [],
          },
        ]) {
          const event = { type: 'MODIFIED', object: { kind, apiVersion: version, ...object } };
          await world.api.call('sendToWatches', `${JSON.stringify(event)}\n`, kind);
        }
      }
      // The next list removes objects that only these events contained.
      await world.api.call('compact');
      await world.api.call('cutWatches');
    },
  },
  {
    name: '10,000 policies at once',
    how: 'creates 10,000 policies and 1,000 pods in 100 namespaces, and deletes them',
    long: true,
    async meet({ world, agent }) {
      await world.api.call('populate', POLICIES);
      await agent.shows('the policies', ({ enforced }) => enforced.policies > 10_000);
      await world.api.call('depopulate', POLICIES);
      await agent.shows('that they are gone', ({ enforced }) => enforced.policies < 10_000);
    },
  },
  {
    name: 'clock jumps',
    how: "sets the process's clock a day ahead, and two days back",
    async meet(scene) {
      await scene.doToAgent({ what: 'jump', milliseconds: DAY });
      await scene.change();
      await delay(200);
      await scene.doToAgent({ what: 'jump', milliseconds: -2 * DAY });
      await delay(200);
      await scene.doToAgent({ what: 'jump', milliseconds: DAY });
    },
  },
  {
    name: 'disk full',
    how: 'starts the agent with a log that takes no byte, and breaks its watches',
    log: 'full disk',
    long: true,
    async meet({ world, agent }) {
      await world.api.call('cutWatches');
      await agent.shows('other watches', ({ source }) => source.kinds.every(({ watching }) => watching));
      return counted((await agent.metrics()).sum('podfence_log_lines_lost_total'), 'lines were lost');
    },
  },
  {
    name: 'SYN flood',
    how: 'sends 50,000 segments that open connections, from the pod that is denied',
    async meet({ pods }) {
      await synFlood(pods.stranger, pods.server, 50_000);
    },
  },
  {
    name: 'UDP flood',
    how: 'sends 50,000 datagrams to as many ports, from the pod that is denied',
    async meet({ pods }) {
      await datagramFlood(pods.stranger, pods.server, 50_000);
    },
  },
  {
    name: 'scan of all ports',
    how: 'tries each of the 65,536 TCP ports, from the pod that is denied',
    async meet({ pods }) {
      await portScan(pods.stranger, pods.server);
    },
  },
  {
    name: 'flow table full',
    how: `opens 20,000 flows that are allowed, with room for ${SMALL_TABLE} in each thread`,
    flags: ['--flow-capacity', String(SMALL_TABLE)],
    long: true,
    async meet({ pods, agent }) {
      await datagramFlood(pods.friend, pods.server, 20_000, 64);
      return counted((await agent.status()).flows.evicted, 'flows were evicted');
    },
  },
  {
    name: "kernel's table full",
    how: 'fills the table of connections of the node with others that are never given up, for 15 s',
    long: true,
    async meet({ world }) {
      const most = existsSync(MAX_KERNEL_FLOWS) ? Number(readFileSync(MAX_KERNEL_FLOWS, 'utf8')) : 0;
      const taken = await fillKernelTable(world.node, 2 * most, 15);
      await delay(15_000);
      if (taken < 0.9 * most) throw new Error(`${taken} entries, of ${most}: it is not full`);
      return counted(taken, `entries, of ${most.toLocaleString('en')}`);
    },
  },
];

/** The faults that take a few seconds and open nothing, with the usual agent. */
export const RANDOM_FAULTS = FAULTS.filter(({ long, opens }) => long === undefined && opens === undefined);

/**
 * Cuts all watches, and gives the next requests these answers; resolves when all have been given.
 */
async function answered({ world }: Scene, faults: readonly ApiFault[]): Promise<void> {
  for (const fault of faults) await world.api.call('fail', fault);
  await world.api.call('cutWatches');
  const deadline = performance.now() + PATIENCE;
  for (let left = faults.length; left > 0; left = await world.api.call('faultsLeft')) {
    if (performance.now() > deadline) throw new Error(`${left} of ${faults.length} requests never came`);
    await delay(20);
  }
}

/**
 * Throws if the count is 0, so that a fault that did not happen is not taken for one that was
 * survived.
 */
function counted(count: number, what: string): string {
  if (count === 0) throw new Error(`0 ${what}: it did not happen`);
  return `${count.toLocaleString('en')} ${what}`;
}

async function untilRepaired({ agent, world }: Scene, command: string): Promise<void> {
  const repairs = (await agent.status()).steeringRepairs;
  await world.onNode('sh', '-c', command);
  await agent.shows('that rules were put in place again', ({ steeringRepairs }) => steeringRepairs > repairs);
}

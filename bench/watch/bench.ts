/**
 * `npm run bench watch`: the agent starts on a cluster of 100,000 pods, and lists it again while
 * packets arrive.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentWorld } from '../../test/agent/agent-world.ts';
import { CLIENT_ALLOWED } from '../../test/agent/policies.ts';
import type { StreamingLists } from '../../test/kube/served-watches.ts';
import type { Bench, BenchContext } from '../harness/bench.ts';
import { buildPackage } from '../harness/built.ts';
import { memoryOf } from '../harness/memory.ts';
import { type BarPanel, bars, curves } from '../harness/panels.ts';
import { requirement, rootOnLinux } from '../harness/requirements.ts';
import { type Curve, type MeasuredRow, single } from '../harness/result.ts';
import { cumulative, quantile, rangeOf, sorted } from '../harness/statistics.ts';
import { type Faring, PacedTraffic } from '../traffic/paced.ts';
import { startServer } from '../traffic/servers.ts';
import { expireHistory } from './expired-history.ts';
import { ProbedAgent } from './probed-agent.ts';
import type { Stall } from './stall-probe.ts';

interface Sizes {
  readonly pods: number;
  readonly podBytes: number;
  /** New flows a second, before and while the cluster is listed again. */
  readonly perSecond: number;
  /** Time before listing again, for comparison. */
  readonly quietSeconds: number;
}

const SIZES: Sizes = { pods: 100_000, podBytes: 9000, perSecond: 500, quietSeconds: 10 };
const QUICK: Sizes = { ...SIZES, pods: 5000, quietSeconds: 1 };

const WAYS_TO_LIST: readonly { readonly name: string; readonly streamingLists: StreamingLists }[] = [
  { name: 'streamed list', streamingLists: 'served' },
  { name: 'list in pages', streamingLists: 'refused' },
];

const PORT = 7000;
/** Number of kinds: Namespaces, Pods, NetworkPolicies. */
const KINDS = 3;

interface Listing {
  /** Seconds from the start of the process. */
  readonly ready: number;
  /** Seconds from serving to the last list. */
  readonly listed: number;
  readonly relisted: number;
  /** Peak in bytes, until ready and until the end. */
  readonly peak: number;
  readonly peakLater: number;
  /** By phase. */
  readonly stalls: Readonly<Record<Phase, readonly Stall[]>>;
  readonly quiet: Faring;
  readonly meanwhile: Faring;
}

const PHASES = ['loading the program', 'listing', 'first policies into force', 'listing again'] as const;
type Phase = (typeof PHASES)[number];

export const bench: Bench = {
  obstacle: () => requirement(rootOnLinux),
  async run(context) {
    const sizes = context.quick ? QUICK : SIZES;
    const listings = new Map<string, Listing>();
    const cli = buildPackage();
    for (const { name, streamingLists } of WAYS_TO_LIST) {
      listings.set(name, await list(context, sizes, cli, name, streamingLists));
    }
    const all = [...listings.values()];
    const stalls = all.flatMap((each) => PHASES.slice(1).map((phase) => each.stalls[phase]));
    const peaks = all.flatMap(({ peak, peakLater }) => [peak, peakLater]);
    return {
      parameters: { ...sizes },
      rows: [
        single('peak memory of the process', 'bytes', ...mostOf(peaks)),
        single('longest stall of the main thread', 'ms', ...mostOf(stalls.map((each) => most(each, 'wall')))),
        single('most CPU time in one stall', 'ms', ...mostOf(stalls.map((each) => most(each, 'cpu')))),
        single('first packet p99, while listing again', 'us', ...mostOf(all.map(({ meanwhile }) => p99(meanwhile)))),
        single('first packet p99, before', 'us', ...mostOf(all.map(({ quiet }) => p99(quiet)))),
        ...[...listings].flatMap(([name, listing]) => rowsOf(name, listing)),
      ],
      curves: [...listings].flatMap(([name, { quiet, meanwhile }]) => [
        curve(`${name}: before`, quiet),
        curve(`${name}: listing again`, meanwhile),
      ]),
      notes: [
        'A stall is a time by the clock in which the main thread was busy with one thing. API server, agent and packets share the cores, so a stall may include a wait for a core: "most CPU" is the most that the thread itself ran in any one stall, which need not be the longest. On a machine that does other work the longest stall is not the agent\'s alone.',
        'Rows that name no way to list show the most of both ways, beside it the least. Their stalls are those of the first list, the first compile and the second list, not those while Node loads the program.',
        'A real server that streams lists is not limited to the speed of this one, which writes JSON in one thread.',
      ],
    };
  },
  panels: ({ rows, curves: all }) => [
    stallPanel(rows),
    curves('First packet of a new flow, while the cluster is listed again', all, 'log'),
  ],
};

async function list(
  { progress, signal }: BenchContext,
  { pods, podBytes, perSecond, quietSeconds }: Sizes,
  cli: string,
  name: string,
  streamingLists: StreamingLists,
): Promise<Listing> {
  signal.throwIfAborted();
  await using world = await AgentWorld.start([CLIENT_ALLOWED], { streamingLists });
  progress(`${name}: a cluster with ${pods} pods`);
  await world.api.call('populate', { pods, podBytes });
  signal.throwIfAborted();
  progress(`${name}: the agent starts`);
  const start = performance.now();
  await using probed = new ProbedAgent(world, cli, signal);
  await probed.ready();
  const ready = (performance.now() - start) / 1000;
  const serving = await probed.logged('serving');
  const listed = await probed.logged('list complete', KINDS);
  const peak = memoryOf(probed.agent.pid, 'VmHWM');
  const first = await probed.takeStalls();

  const [client, server] = [world.lab.pod('shop/client'), world.lab.pod('shop/server')];
  using _server = await startServer(server.netns, 'echo', { port: PORT }, signal);
  const input = { ways: ['new flow'], port: PORT, tcpPort: 0, perSecond, reportEvery: 100 } as const;
  using traffic = new PacedTraffic({ client, server }, input, signal);
  progress(`${name}: new flows, nothing else`);
  await delay(1000);
  traffic.take('new flow');
  await delay(1000 * quietSeconds);
  const quiet = traffic.take('new flow');
  await probed.takeStalls();
  progress(`${name}: new flows, and the cluster is listed again`);
  const again = Date.now();
  await expireHistory(world.api);
  const relisted = await probed.logged('list complete', 2 * KINDS);
  const meanwhile = traffic.take('new flow');
  return {
    ready,
    listed: (listed - serving) / 1000,
    relisted: (relisted - again) / 1000,
    peak,
    peakLater: memoryOf(probed.agent.pid, 'VmHWM'),
    stalls: {
      'loading the program': first.filter((stall) => begin(stall) <= serving),
      listing: first.filter((stall) => begin(stall) > serving && begin(stall) <= listed),
      'first policies into force': first.filter((stall) => begin(stall) > listed),
      'listing again': await probed.takeStalls(),
    },
    quiet,
    meanwhile,
  };
}

function rowsOf(name: string, listing: Listing): MeasuredRow[] {
  const row = (what: string, unit: string, value: number) => single(`${what}, ${name}`, unit, value);
  const flows = (when: string, { samples, lost }: Faring) => [
    row(`new flows answered, ${when}`, 'flows', samples.length),
    row(`new flows without an answer, ${when}`, 'flows', lost),
    row(`first packet p50, ${when}`, 'us', quantile(sorted(samples), 0.5)),
    row(`first packet p99, ${when}`, 'us', p99({ samples, lost })),
  ];
  return [
    row('time to ready', 's', listing.ready),
    row('of it listing', 's', listing.listed),
    row('time to list again', 's', listing.relisted),
    row('peak memory, ready', 'bytes', listing.peak),
    row('peak memory, listed again', 'bytes', listing.peakLater),
    ...PHASES.flatMap((phase) => [
      row(`longest stall, ${phase}`, 'ms', most(listing.stalls[phase], 'wall')),
      row(`most CPU in one, ${phase}`, 'ms', most(listing.stalls[phase], 'cpu')),
    ]),
    ...flows('before', listing.quiet),
    ...flows('while listing again', listing.meanwhile),
  ];
}

function begin({ at, wall }: Stall): number {
  return at - wall;
}

/** Returns the largest value of one measure in any stall, in ms; 0 if there are no stalls. */
function most(stalls: readonly Stall[], of: 'wall' | 'cpu'): number {
  return Math.max(0, ...stalls.map((stall) => stall[of]));
}

/** Returns the largest value, and the range. */
function mostOf(values: readonly number[]): [value: number, range: [number, number]] {
  return [Math.max(...values), rangeOf(values)];
}

function p99({ samples }: Faring): number {
  return quantile(sorted(samples), 0.99);
}

function stallPanel(rows: readonly MeasuredRow[]): BarPanel {
  const shown = rows.filter(({ name }) => /^(longest stall|most CPU in one), /.test(name));
  return bars('Stalls of the main thread: the longest, and the most CPU time in one', shown, {
    split: (name) => {
      const [what = '', phase = '', how = ''] = name.split(', ');
      return [`${phase}, ${how}`, what];
    },
  });
}

function curve(name: string, { samples }: Faring): Curve {
  return { name, x: 'first packet, us', y: 'share', points: cumulative(samples) };
}

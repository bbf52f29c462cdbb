/** `npm run bench change`: from an event at the API server to the first packet that it affects. */
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentWorld } from '../../test/agent/agent-world.ts';
import type { RunningAgent } from '../../test/agent/running-agent.ts';
import type { Bench, BenchContext } from '../harness/bench.ts';
import { bars, curves } from '../harness/panels.ts';
import { requirement, rootOnLinux } from '../harness/requirements.ts';
import { type MeasuredRow, single } from '../harness/result.ts';
import { cumulative, quantile, rangeOf, sorted } from '../harness/statistics.ts';
import { populationOf } from '../traffic/large-cluster.ts';
import { type ClusterState, KINDS, PORT } from './kinds.ts';
import { monotonic } from './monotonic.ts';
import { ProbingStreams, STREAMS, type StreamName } from './stream.ts';

interface Sizes {
  readonly policies: number;
  readonly changesOfKind: number;
}

const SIZES: Sizes = { policies: 10_000, changesOfKind: 200 };
const QUICK: Sizes = { policies: 10_000, changesOfKind: 3 };

/**
 * Pause between two changes in ms: from this up to twice as long, at random, so that it never falls
 * in step with a rhythm of the agent.
 */
const PAUSE = 20;
/** How long the kernel remembers each new probing flow, in s. */
const FORGET = 1;
const AGENT = "the agent's own measure";
const HISTOGRAM = 'podfence_event_to_enforcement_seconds';

/** Milliseconds that each change took. */
type Times = Record<StreamName | typeof AGENT, number[]>;

export const bench: Bench = {
  obstacle: () => requirement(rootOnLinux),
  async run(context) {
    const sizes = context.quick ? QUICK : SIZES;
    await using world = await AgentWorld.start();
    world.node.netns.run(() => writeFileSync('/proc/sys/net/netfilter/nf_conntrack_udp_timeout', String(FORGET)));
    context.progress(`a cluster with ${sizes.policies} policies`);
    await world.api.call('populate', populationOf(sizes.policies));
    const agent = await world.startAgent();
    const { times, disturbed } = await measure(context, sizes, world, agent);
    const worst = Math.max(...[...times.values()].flatMap((each) => STREAMS.map((stream) => p99(each[stream]))));
    return {
      parameters: { ...sizes, pods: sizes.policies, forgetSeconds: FORGET },
      rows: [
        single(
          'change to enforcement, p99',
          'ms',
          worst,
          rangeOf([...times.values()].flatMap((each) => STREAMS.map((stream) => p99(each[stream])))),
        ),
        ...STREAMS.map((stream) => single(`all kinds, ${stream}, p99`, 'ms', p99(all(times, stream)))),
        single(`all kinds, ${AGENT}, p99`, 'ms', p99(all(times, AGENT))),
        single('left out: a stream had paused before the event', 'changes', disturbed),
        single(`all kinds, ${AGENT}, within 100 ms by its histogram`, 'ratio', await within100ms(agent)),
        ...[...times].flatMap(([kind, each]) => rowsOf(kind, each)),
      ],
      curves: [...STREAMS, AGENT].map((name) => ({
        name,
        x: 'from the event to its enforcement, ms',
        y: 'share',
        points: cumulative(all(times, name as StreamName)),
      })),
      notes: [
        'From when the event is sent to the API server, in another process, to when the first packet that it affects was sent. The first row is the slowest kind on the slower stream.',
        `p99 of the ${sizes.changesOfKind} changes of a kind is the ${sizes.changesOfKind < 101 ? 'slowest' : `number ${Math.ceil(0.99 * sizes.changesOfKind)} by time`}; beside it the fastest and the slowest.`,
        "The agent's own measure runs from receiving the event until the change is in force on all connections.",
      ],
    };
  },
  panels: ({ rows, curves: all }) => [
    curves('From an event to its enforcement, all kinds', all, 'log'),
    ...STREAMS.map((stream) =>
      bars(
        `By kind of change: ${stream}`,
        rows.filter(({ name }) => name.includes(`, ${stream}, `) && !name.startsWith('all kinds')),
        { split: (name) => [name.slice(0, name.indexOf(`, ${stream}`)), name.replace(/^.*, /, '')] },
      ),
    ),
  ],
};

async function measure(
  { progress, signal }: BenchContext,
  { changesOfKind }: Sizes,
  world: AgentWorld,
  agent: RunningAgent,
): Promise<{ readonly times: Map<string, Times>; readonly disturbed: number }> {
  const [client, server] = [world.lab.pod('shop/client'), world.lab.pod('shop/server')];
  using streams = new ProbingStreams(client, server, PORT, signal);
  const times = new Map<string, Times>();
  let done = 0;
  let disturbed = 0;
  for (const { closing, opening, closed, open } of KINDS) {
    await become(world, agent, open);
    await streams.become(true);
    for (let i = 0; i < changesOfKind; i++) {
      progress(`${closing}; ${opening}`, ++done, KINDS.length * changesOfKind);
      for (const [kind, state, arriving] of [
        [closing, closed, false],
        [opening, open, true],
      ] as const) {
        signal.throwIfAborted();
        await delay(PAUSE * (1 + Math.random()));
        const before = agent.log.length;
        const sentAt = monotonic();
        await become(world, agent, state);
        const turned = await streams.become(arriving, sentAt);
        const { 'established flow': established, 'new flows': fresh } = turned;
        if (established === undefined || fresh === undefined) {
          disturbed++;
          continue;
        }
        const known = times.get(kind) ?? { 'established flow': [], 'new flows': [], [AGENT]: [] };
        times.set(kind, known);
        known['established flow'].push(established - sentAt);
        known['new flows'].push(fresh - sentAt);
        known[AGENT].push(ownTime(agent, before));
      }
    }
  }
  return { times, disturbed };
}

function become(world: AgentWorld, agent: RunningAgent, { policies, differences }: ClusterState): Promise<void> {
  return world.change(agent, policies, differences);
}

/**
 * What the agent logged since line `from` as its own measure, in ms; the longest, if one event came
 * into force after another.
 */
function ownTime(agent: RunningAgent, from: number): number {
  const lines = agent.log.slice(from).filter(({ msg }) => msg === 'in force');
  return Math.max(...lines.map(({ total }) => Number(total) * 1000));
}

async function within100ms(agent: RunningAgent): Promise<number> {
  const { families } = await agent.metrics();
  const series = families.get(HISTOGRAM)?.series ?? [];
  const at = (le: string) => series.find((each) => each.name === `${HISTOGRAM}_bucket` && each.labels.le === le)?.value;
  return (at('0.1') ?? Number.NaN) / (at('+Inf') ?? Number.NaN);
}

function rowsOf(kind: string, times: Times): MeasuredRow[] {
  return STREAMS.flatMap((stream) =>
    [0.5, 0.99].map((share) => {
      const ascending = sorted(times[stream]);
      return single(`${kind}, ${stream}, p${share * 100}`, 'ms', quantile(ascending, share), rangeOf(times[stream]));
    }),
  );
}

function all(times: ReadonlyMap<string, Times>, name: keyof Times): number[] {
  return [...times.values()].flatMap((each) => each[name]);
}

function p99(values: readonly number[]): number {
  return quantile(sorted(values), 0.99);
}

/** `npm run bench soak`: an hour of mixed traffic while the cluster changes all the time. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Host } from '../../src/lab/topology.ts';
import { AgentWorld } from '../../test/agent/agent-world.ts';
import { CLIENT_ALLOWED } from '../../test/agent/policies.ts';
import type { RunningAgent } from '../../test/agent/running-agent.ts';
import type { Bench, BenchContext } from '../harness/bench.ts';
import { memoryOf } from '../harness/memory.ts';
import { curves } from '../harness/panels.ts';
import { command, requirement, rootOnLinux } from '../harness/requirements.ts';
import { type MeasuredRow, single } from '../harness/result.ts';
import { populationOf } from '../traffic/large-cluster.ts';
import { type PacedInput, PacedTraffic } from '../traffic/paced.ts';
import { startServer } from '../traffic/servers.ts';
import type { TwoPods } from '../traffic/two-pods.ts';
import { Churn } from './churn.ts';
import { curvesOf, ofFaring, ofMetrics, rowsOf, type Sample } from './sample.ts';
import { Streams } from './streams.ts';

const MINUTES = 60;
const QUICK_MINUTES = 0.25;
/** Samples in the plot. */
const SAMPLES = 240;
const PARAMETERS = {
  policies: 1000,
  changesPerSecond: 5,
  /** For each way: a datagram on one flow, one on a new flow, a TCP handshake. */
  exchangesPerSecond: 100,
  /** On one flow, alternating with TCP. */
  datagramsPerSecond: 2000,
  megabitsPerSecond: 50,
  /** From a pod that no policy allows. Each waits a second for an answer that must not arrive. */
  deniedPerSecond: 1,
};
const WAYS = ['steady flow', 'new flow', 'handshake'] as const;
const PORTS = { port: 7000, tcpPort: 8000 };
/** Length of a stream's turn. */
const STREAM_SECONDS = 10;
/** How long the last turn may take to end, in ms. */
const STREAM_PATIENCE = 60_000;

export const bench: Bench = {
  obstacle: () => requirement(rootOnLinux, command('iperf3')),
  async run(context) {
    const minutes = context.minutes ?? (context.quick ? QUICK_MINUTES : MINUTES);
    const { samples, counted, failure } = await soak(context, minutes);
    return {
      parameters: { minutes, ...PARAMETERS },
      rows: [...counted, ...rowsOf(samples)],
      curves: curvesOf(samples),
      notes: [
        'Start, middle and end are a tenth of the time each. During the first, tables fill and code is compiled: only later growth counts as growth.',
        ...(failure === undefined ? [] : [`The last turn of streams that failed: ${failure}`]),
      ],
    };
  },
  panels: ({ curves: all }) => {
    const of = (...names: readonly string[]) => all.filter(({ name }) => names.includes(name));
    return [
      curves('Memory of the agent', of('process', 'heap of the main thread')),
      curves('First packet of a new flow', of('p50', 'p99'), 'linear', 'log'),
      curves(
        'Lost since the beginning',
        of('exchanges without an answer', 'datagrams of streams', 'dropped by the queues'),
      ),
      curves("Flows in the workers' tables", of('flows')),
    ];
  },
};

interface Soaked {
  readonly samples: readonly Sample[];
  readonly counted: readonly MeasuredRow[];
  /** Why the last failed turn of the streams failed. */
  readonly failure: string | undefined;
}

async function soak(context: BenchContext, minutes: number): Promise<Soaked> {
  const { signal } = context;
  await using world = await AgentWorld.start([CLIENT_ALLOWED]);
  await world.api.call('populate', populationOf(PARAMETERS.policies));
  const agent = await world.startAgent();
  const [client, server, stranger] = ['client', 'server', 'stranger'].map((name) => world.lab.pod(`shop/${name}`));
  const pods = { client, server } as TwoPods;
  using _echo = await startServer(pods.server.netns, 'echo', { port: PORTS.port }, signal);
  using _http = await startServer(pods.server.netns, 'http', { port: PORTS.tcpPort }, signal);
  using allowed = paced(pods, WAYS, PARAMETERS.exchangesPerSecond, signal);
  using denied = paced({ ...pods, client: stranger as Host }, ['new flow'], PARAMETERS.deniedPerSecond, signal);
  const seconds = Math.min(STREAM_SECONDS, Math.ceil(minutes * 12));
  const traffic = { allowed, denied, streams: new Streams(pods, { ...PARAMETERS, seconds }) };
  const churn = new Churn(world, PARAMETERS.changesPerSecond);

  const end = new AbortController();
  const stop = AbortSignal.any([signal, end.signal]);
  const working = Promise.all([churn.run(stop), traffic.streams.run(stop)]);
  try {
    const failing = Promise.race([working, allowed.ended, denied.ended]);
    const { samples, counts } = await observe(context, minutes, agent, traffic, failing);
    end.abort();
    // A hanging stream is no reason to discard the hour.
    await Promise.race([working, delay(STREAM_PATIENCE, undefined, { ref: false })]);
    const counted = [...countRows(counts, traffic.streams, churn), ...(await statusRows(agent))];
    return { samples, counted, failure: traffic.streams.failure };
  } finally {
    end.abort();
    working.catch(() => undefined);
  }
}

interface Traffic {
  readonly allowed: PacedTraffic;
  readonly denied: PacedTraffic;
  readonly streams: Streams;
}

function paced(pods: TwoPods, ways: PacedInput['ways'], perSecond: number, signal: AbortSignal): PacedTraffic {
  return new PacedTraffic(pods, { ...PORTS, ways, perSecond, reportEvery: 500 }, signal);
}

/** Numbers of exchanges. */
interface Counts {
  answered: number;
  unanswered: number;
  deniedAndAnswered: number;
}

/** Takes samples until the time is over, or rejects when `failing` does. */
async function observe(
  { progress, signal }: BenchContext,
  minutes: number,
  agent: RunningAgent,
  { allowed, denied, streams }: Traffic,
  failing: Promise<unknown>,
): Promise<{ samples: readonly Sample[]; counts: Counts }> {
  const counts: Counts = { answered: 0, unanswered: 0, deniedAndAnswered: 0 };
  const samples: Sample[] = [];
  const beginning = performance.now();
  const length = minutes * 60_000;
  const interval = Math.max(1000, length / SAMPLES);
  for (let next = interval; next <= length; next += interval) {
    await Promise.race([delay(Math.max(0, beginning + next - performance.now()), undefined, { signal }), failing]);
    const minute = (performance.now() - beginning) / 60_000;
    progress(`minute ${minute.toFixed(1)} of ${minutes}`);
    const flows = allowed.take('new flow');
    for (const { samples: answered, lost } of [flows, allowed.take('steady flow'), allowed.take('handshake')]) {
      counts.answered += answered.length;
      counts.unanswered += lost;
    }
    counts.deniedAndAnswered += denied.take('new flow').samples.length;
    samples.push({
      minute,
      memory: memoryOf(agent.pid, 'VmRSS'),
      ...ofMetrics(await agent.metrics()),
      ...ofFaring(flows),
      unanswered: counts.unanswered,
      lost: streams.lost,
    });
  }
  return { samples, counts };
}

function countRows(counts: Counts, { sent, lost, failed }: Streams, { changes, cuts }: Churn): MeasuredRow[] {
  return [
    single('exchanges answered', 'exchanges', counts.answered),
    single('exchanges without an answer', 'exchanges', counts.unanswered),
    single('datagrams of streams sent', 'packets', sent),
    single('datagrams of streams lost', 'packets', lost),
    single('turns of streams that failed', 'times', failed),
    single('denied and answered', 'exchanges', counts.deniedAndAnswered),
    single('changes of the cluster', 'changes', changes),
    single('watches cut', 'times', cuts),
  ];
}

async function statusRows(agent: RunningAgent): Promise<MeasuredRow[]> {
  const { queues, workers, packets } = await agent.status();
  const dropped = queues.reduce((sum, { droppedByKernel, droppedByUser }) => sum + droppedByKernel + droppedByUser, 0);
  return [
    single('packets judged', 'packets', packets.judged),
    single('packets denied', 'packets', packets.denied),
    single('packets dropped by the queues', 'packets', dropped),
    single('workers replaced', 'times', workers.restarts),
  ];
}

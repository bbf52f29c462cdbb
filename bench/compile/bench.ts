/** `npm run bench compile`: from records to a table, for a large cluster. */
import type { Bench, BenchContext } from '../harness/bench.ts';
import { inChild } from '../harness/child.ts';
import { bars } from '../harness/panels.ts';
import { type MeasuredRow, row, single } from '../harness/result.ts';
import { quantile, rangeOf, sorted } from '../harness/statistics.ts';
import { type ClusterSize, LARGE, SMALL } from './cluster.ts';
import type { Taken } from './compiler-run.ts';
import { EVENTS, type EventOf, SWEEPING_EVENTS } from './events.ts';
import type { EventCounts, EventsAnswer } from './events-process.ts';
import type { FullAnswer } from './full-process.ts';
import type { ShapeAnswer } from './shape-process.ts';
import { SHAPES } from './shapes.ts';

interface Parameters {
  readonly size: ClusterSize;
  /** Processes for the full compile, for single events and for each bad shape. */
  readonly processes: { readonly full: number; readonly events: number; readonly shape: number };
  /** Events in each process: of each common kind, and of each sweeping kind. */
  readonly eventsOfKind: EventCounts;
  /** How many pods, policies or CIDRs a bad shape has. */
  readonly shapeSize: number;
  /** Edits in each process. */
  readonly shapeEdits: number;
}

const PARAMETERS: Parameters = {
  size: LARGE,
  processes: { full: 5, events: 3, shape: 5 },
  eventsOfKind: { common: 1000, sweeping: 200 },
  shapeSize: 10_000,
  shapeEdits: 20,
};
const QUICK: Parameters = {
  size: SMALL,
  processes: { full: 1, events: 1, shape: 1 },
  eventsOfKind: { common: 20, sweeping: 20 },
  shapeSize: 100,
  shapeEdits: 3,
};

export const bench: Bench = {
  async run(context) {
    const parameters = context.quick ? QUICK : PARAMETERS;
    const full = await fullCompiles(context, parameters);
    const events = await eventTimes(context, parameters);
    const shapes = await badShapes(context, parameters);
    const notes = [
      "Time of the thread's own CPU, which is the agent's main thread.",
      'Every kind of event has to reach the target for one event: the row is the p99 of the slowest kind over all processes; beside it, over each process. Sweeping selectors are new',
      'and match a large part of the cluster, and cost what they match: they are not among these kinds and have their own rows. The agent does their',
      'work in turns, and the main thread does everything else in between.',
    ];
    return {
      parameters: {
        ...parameters,
        size: { ...parameters.size },
        processes: { ...parameters.processes },
        eventsOfKind: { ...parameters.eventsOfKind },
      },
      rows: [
        ...full,
        slowest('one event, p99 of the slowest kind, without sweeping selectors', EVENTS, events),
        slowest('a sweeping selector, p99 of the slowest kind', SWEEPING_EVENTS, events),
        slowest('a sweeping selector, longest turn, p99 of the slowest kind', SWEEPING_EVENTS, events, 'turnMs'),
        ...[EVENTS, SWEEPING_EVENTS].flatMap((kinds) => Object.keys(kinds).flatMap((kind) => eventRows(kind, events))),
        ...shapes,
      ],
      notes,
    };
  },
  panels: ({ rows }) => [
    bars(
      'Single events on the large cluster',
      rows.filter(({ name }) => / p(50|99)$/.test(name) && !name.includes('slowest kind')),
      { scale: 'log', split: (name) => [name.replace(/, p\d+$/, ''), name.replace(/^.*, /, '')] },
    ),
    bars(
      'Bad shapes: all at once, and an edit of the policy',
      rows.filter(({ name }) => /: (full compile|policy edited)$/.test(name)),
      { scale: 'log', split: (name) => [name.replace(/: .*/, ''), name.replace(/.*: /, '')] },
    ),
  ],
};

async function fullCompiles(
  { signal, progress }: BenchContext,
  { size, processes: { full: processes } }: Parameters,
): Promise<MeasuredRow[]> {
  const answers: FullAnswer[] = [];
  for (let i = 0; i < processes; i++) {
    progress(`full compile of ${size.policies.toLocaleString('en')} policies`, i + 1, processes);
    const file = new URL('./full-process.ts', import.meta.url);
    answers.push(await inChild<FullAnswer>(file, size, { signal, flags: ['--expose-gc'] }));
  }
  const of = (name: string, unit: string, take: (answer: FullAnswer) => number) => row(name, unit, answers.map(take));
  return [
    of('full compile', 'ms', ({ ms }) => ms),
    of('peak memory of the process', 'bytes', ({ peakBytes }) => peakBytes),
    of("of that, Node and the cluster's records", 'bytes', ({ recordsBytes }) => recordsBytes),
    of('table', 'bytes', ({ tableBytes }) => tableBytes),
  ];
}

/** Returns, for each process, the times by kind. */
async function eventTimes(
  { signal, progress }: BenchContext,
  { size, processes: { events: processes }, eventsOfKind: counts }: Parameters,
): Promise<EventsAnswer[]> {
  const kinds = Object.keys(EVENTS).length + Object.keys(SWEEPING_EVENTS).length;
  const answers: EventsAnswer[] = [];
  for (let i = 0; i < processes; i++) {
    const onReport = (done: unknown) =>
      progress(
        `events of each of ${kinds} kinds, process ${i + 1} of ${processes}`,
        done as number,
        counts.common + counts.sweeping,
      );
    onReport(0);
    const file = new URL('./events-process.ts', import.meta.url);
    answers.push(await inChild<EventsAnswer>(file, { size, counts }, { signal, onReport }));
  }
  return answers;
}

function eventRows(kind: string, events: readonly EventsAnswer[]): MeasuredRow[] {
  const times = sorted(events.flatMap((each) => (each[kind] ?? []).map(({ ms }) => ms)));
  return [0.5, 0.99].map((share) =>
    single(`${kind}, p${share * 100}`, 'ms', quantile(times, share), rangeOf([...times])),
  );
}

/** Returns the p99 of the slowest of these kinds, and its range over the processes. */
function slowest(
  name: string,
  kinds: Readonly<Record<string, EventOf>>,
  events: readonly EventsAnswer[],
  of: keyof Taken = 'ms',
): MeasuredRow {
  const p99 = (answers: readonly EventsAnswer[]) =>
    Math.max(
      ...Object.keys(kinds).map((kind) => {
        const taken = answers.flatMap((each) => each[kind] ?? []);
        return quantile(sorted(taken.map((each) => each[of])), 0.99);
      }),
    );
  return single(name, 'ms', p99(events), rangeOf(events.map((each) => p99([each]))));
}

async function badShapes(
  { signal, progress }: BenchContext,
  { shapeSize: n, shapeEdits: edits, processes: { shape: processes } }: Parameters,
): Promise<MeasuredRow[]> {
  const names = Object.keys(SHAPES);
  const answers = new Map<string, ShapeAnswer[]>(names.map((shape) => [shape, []]));
  let done = 0;
  for (let turn = 0; turn < processes; turn++) {
    for (const shape of names) {
      progress(shape, ++done, processes * names.length);
      const file = new URL('./shape-process.ts', import.meta.url);
      answers.get(shape)?.push(await inChild<ShapeAnswer>(file, { shape, n, edits }, { signal }));
    }
  }
  return [...answers].flatMap(([shape, found]) => [
    row(
      `${shape}: full compile`,
      'ms',
      found.map(({ fullMs }) => fullMs),
    ),
    row(
      `${shape}: policy edited`,
      'ms',
      found.flatMap(({ editMs }) => editMs),
    ),
    row(
      `${shape}: table`,
      'bytes',
      found.map(({ tableBytes }) => tableBytes),
    ),
    row(
      `${shape}: peak memory of the process`,
      'bytes',
      found.map(({ peakBytes }) => peakBytes),
    ),
  ]);
}

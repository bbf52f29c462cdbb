/** `npm run bench compile`: from records to a table, for a large cluster. */
import type { Bench, BenchContext } from '../harness/bench.ts';
import { inChild } from '../harness/child.ts';
import { bars } from '../harness/panels.ts';
import { type MeasuredRow, row, single } from '../harness/result.ts';
import { quantile, sorted } from '../harness/statistics.ts';
import { type ClusterSize, LARGE, SMALL } from './cluster.ts';
import { EVENTS, SWEEPING_EVENTS } from './events.ts';
import type { EventsAnswer } from './events-process.ts';
import type { FullAnswer } from './full-process.ts';
import type { ShapeAnswer } from './shape-process.ts';
import { SHAPES } from './shapes.ts';

interface Parameters {
  readonly size: ClusterSize;
  /** Full compiles, each in a process of its own. */
  readonly processes: number;
  readonly eventsOfKind: number;
  /** How many of what a bad shape has many of. */
  readonly shapeSize: number;
  readonly shapeEdits: number;
}

const PARAMETERS: Parameters = { size: LARGE, processes: 5, eventsOfKind: 300, shapeSize: 10_000, shapeEdits: 20 };
const QUICK: Parameters = { size: SMALL, processes: 1, eventsOfKind: 20, shapeSize: 100, shapeEdits: 3 };

export const bench: Bench = {
  async run(context) {
    const parameters = context.quick ? QUICK : PARAMETERS;
    const full = await fullCompiles(context, parameters);
    const events = await eventTimes(context, parameters);
    const shapes = await badShapes(context, parameters);
    const slowest = Math.max(...Object.keys(EVENTS).map((kind) => p99(events[kind])));
    const notes = [
      "Time of the thread's own CPU, which is the agent's main thread.",
      'The target for one event is held by each of its kinds: the row is the slowest of them. Selectors that are new and match a large part',
      'of the cluster cost what they match; they have rows of their own.',
    ];
    return {
      parameters: { ...parameters, size: { ...parameters.size } },
      rows: [...full, single('one event, all kinds, p99', 'ms', slowest), ...eventRows(events), ...shapes],
      notes,
    };
  },
  panels: ({ rows }) => [
    bars(
      'Single events on the large cluster',
      rows.filter(({ name }) => / p(50|99)$/.test(name) && !name.startsWith('one event')),
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
  { size, processes }: Parameters,
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

function eventTimes(
  { signal, progress }: BenchContext,
  { size, eventsOfKind: count }: Parameters,
): Promise<EventsAnswer> {
  const kinds = Object.keys(EVENTS).length + Object.keys(SWEEPING_EVENTS).length;
  progress(`${count} events of each of ${kinds} kinds`);
  const onReport = (done: unknown) => progress(`events of each of ${kinds} kinds`, done as number, count);
  return inChild(new URL('./events-process.ts', import.meta.url), { size, count }, { signal, onReport });
}

function eventRows(events: EventsAnswer): MeasuredRow[] {
  return Object.entries(events).flatMap(([kind, times]) => {
    const ascending = sorted(times);
    const range: [number, number] = [quantile(ascending, 0), quantile(ascending, 1)];
    return [
      single(`${kind}, p50`, 'ms', quantile(ascending, 0.5), range),
      single(`${kind}, p99`, 'ms', quantile(ascending, 0.99), range),
    ];
  });
}

function p99(times: readonly number[] = []): number {
  return quantile(sorted(times), 0.99);
}

async function badShapes(
  { signal, progress }: BenchContext,
  { shapeSize: n, shapeEdits: edits }: Parameters,
): Promise<MeasuredRow[]> {
  const rows: MeasuredRow[] = [];
  const names = Object.keys(SHAPES);
  for (const [i, shape] of names.entries()) {
    progress(shape, i + 1, names.length);
    const file = new URL('./shape-process.ts', import.meta.url);
    const found = await inChild<ShapeAnswer>(file, { shape, n, edits }, { signal });
    rows.push(
      single(`${shape}: full compile`, 'ms', found.fullMs),
      row(`${shape}: policy edited`, 'ms', found.editMs),
      single(`${shape}: table`, 'bytes', found.tableBytes),
      single(`${shape}: peak memory of the process`, 'bytes', found.peakBytes),
    );
  }
  return rows;
}

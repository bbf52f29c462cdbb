/**
 * Single changes of a large cluster. The kinds take turns, so that each finds the caches as the
 * others left them.
 */
import { answer, report } from '../harness/child.ts';
import { type ClusterSize, recordsOf } from './cluster.ts';
import { CompilerRun, type Taken } from './compiler-run.ts';
import { EVENTS, SWEEPING_EVENTS } from './events.ts';

/** How many events of each kind. */
export interface EventCounts {
  readonly common: number;
  readonly sweeping: number;
}

export interface EventsInput {
  readonly size: ClusterSize;
  readonly counts: EventCounts;
}

/** By kind: what each event took. */
export type EventsAnswer = Readonly<Record<string, readonly Taken[]>>;

answer(async ({ size, counts }: EventsInput): Promise<EventsAnswer> => {
  const run = new CompilerRun();
  await run.all(recordsOf(size));
  const times: Record<string, Taken[]> = {};
  let done = 0;
  for (const [kinds, count] of [
    [EVENTS, counts.common],
    [SWEEPING_EVENTS, counts.sweeping],
  ] as const) {
    for (const kind of Object.keys(kinds)) times[kind] = [];
    for (let i = 0; i < count; i++) {
      if (done++ % 10 === 0) report(done);
      for (const [kind, eventOf] of Object.entries(kinds)) times[kind]?.push(await run.change([eventOf(i, size)]));
    }
  }
  return times;
});

/** Single changes of a large cluster. Kinds take turns, so that each finds the caches as others left them. */
import { answer, report } from '../harness/child.ts';
import { type ClusterSize, recordsOf } from './cluster.ts';
import { CompilerRun, type Taken } from './compiler-run.ts';
import { EVENTS, SWEEPING_EVENTS } from './events.ts';

export interface EventsInput {
  readonly size: ClusterSize;
  /** Of each kind. */
  readonly count: number;
}

/** By kind, what each event took. */
export type EventsAnswer = Readonly<Record<string, readonly Taken[]>>;

answer(({ size, count }: EventsInput): EventsAnswer => {
  const run = new CompilerRun();
  run.all(recordsOf(size));
  const times: Record<string, Taken[]> = {};
  for (const kinds of [EVENTS, SWEEPING_EVENTS]) {
    for (const kind of Object.keys(kinds)) times[kind] = [];
    for (let i = 0; i < count; i++) {
      if (i % 10 === 0) report(i);
      for (const [kind, eventOf] of Object.entries(kinds)) times[kind]?.push(run.change([eventOf(i, size)]));
    }
  }
  return times;
});

/** Counts objects that could not be read in full, and logs them without flooding the log. */
import type { Logger } from 'pino';
import { formatPath, type Problem } from '../cluster/field.ts';
import { recordKey, type WatchedRecord } from '../cluster/records.ts';
import type { Clock } from './clock.ts';

/** At most this many warnings in a period of this many ms. */
const WARNINGS = 20;
const PERIOD = 10 * 60_000;

export class UnreadableObjects {
  readonly #kind: WatchedRecord['kind'];
  readonly #log: Logger;
  readonly #clock: Clock;
  #count = 0;
  #periodBegan = Number.NEGATIVE_INFINITY;
  #warnings = 0;

  constructor(kind: WatchedRecord['kind'], log: Logger, clock: Clock) {
    this.#kind = kind;
    this.#log = log;
    this.#clock = clock;
  }

  get count(): number {
    return this.#count;
  }

  /** @param record the readable part of the object, if any */
  report(record: WatchedRecord | undefined, problems: readonly Problem[]): void {
    this.#count++;
    const now = this.#clock.now();
    if (now - this.#periodBegan >= PERIOD) {
      this.#periodBegan = now;
      this.#warnings = 0;
    }
    if (++this.#warnings > WARNINGS) return;
    const [first] = problems;
    this.#log.warn(
      {
        kind: this.#kind,
        object: record === undefined ? undefined : recordKey(record),
        problem: first === undefined ? undefined : `${formatPath(first.path)}: ${first.message}`,
        problems: problems.length,
        unreadable: this.#count,
      },
      `${describeOutcome(record)}${this.#warnings === WARNINGS ? '; no more of these warnings for ten minutes' : ''}`,
    );
  }
}

function describeOutcome(record: WatchedRecord | undefined): string {
  if (record === undefined) return 'ignored an object without a usable name';
  if (record.kind !== 'NetworkPolicy' || record.error === undefined) return 'ignored the unreadable parts of an object';
  return 'a policy that could not be read isolates its pods, unless it is audited, and allows nothing';
}

/** Objects that came from the API server and could not be read in full: counted all, and logged without flooding the log. */
import type { Logger } from 'pino';
import { formatPath, type Problem } from '../cluster/field.ts';
import { type ClusterRecord, recordKey } from '../cluster/records.ts';
import type { Clock } from './clock.ts';

/** So many warnings in a period of so many ms. */
const WARNINGS = 20;
const PERIOD = 10 * 60_000;

export class UnreadableObjects {
  readonly #kind: ClusterRecord['kind'];
  readonly #log: Logger;
  readonly #clock: Clock;
  #count = 0;
  #periodBegan = Number.NEGATIVE_INFINITY;
  #warnings = 0;

  constructor(kind: ClusterRecord['kind'], log: Logger, clock: Clock) {
    this.#kind = kind;
    this.#log = log;
    this.#clock = clock;
  }

  get count(): number {
    return this.#count;
  }

  /** @param record what could be read of it, if anything */
  report(record: ClusterRecord | undefined, problems: readonly Problem[]): void {
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

function describeOutcome(record: ClusterRecord | undefined): string {
  if (record === undefined) return 'an object without a usable name is left out';
  if (record.kind !== 'NetworkPolicy' || record.error === undefined)
    return 'what could not be read of an object is left out';
  return 'a policy that could not be read isolates its pods, unless it is audited, and allows nothing';
}

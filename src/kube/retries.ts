/** When to retry after a failure, and how failures are counted and logged. */
import type { Logger } from 'pino';
import type { KindStatus } from '../agent-state/watch-status.ts';
import type { WatchedRecord } from '../cluster/records.ts';
import { type ApiError, FAILURES, type Failure } from './api-error.ts';
import { Backoff } from './backoff.ts';
import type { Clock } from './clock.ts';

/** A watch that lasted this many ms was healthy: its end is a new failure, not a repeated one. */
const HEALTHY = 5_000;
/** After this many failed answers in a row, the version or continue token may be to blame. */
const STUCK = 5;
/** Failures that a new list does not cure. */
const NO_USE_LISTING: ReadonlySet<Failure> = new Set<Failure>([
  'connection',
  'inactive',
  'unauthorized',
  'forbidden',
  'overloaded',
]);

/** Ends of a watch that are not failures. */
const ROUTINE: ReadonlySet<Failure> = new Set<Failure>(['ended', 'quiet']);

export interface RetriesOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly kind: WatchedRecord['kind'];
  /** What to log, once, if the right is missing; undefined: that is a failure like others. */
  readonly withoutRight?: string | undefined;
}

export class Retries {
  readonly #options: RetriesOptions;
  readonly #watchBackoff: Backoff;
  /** Each page resets this one. Only a watch that lasts resets the other, not a complete list. */
  readonly #pageBackoff: Backoff;
  readonly #counts: Record<Failure, number>;
  #watchBeganAt: number | undefined;
  /** When the outage began that a warning reported; undefined once its end is logged too. */
  #warnedSince: number | undefined;
  #cancelRecovery = () => {};
  #isToldOfRight = false;
  #last: { code: Failure; message: string; at: number } | undefined;

  constructor(options: RetriesOptions) {
    this.#options = options;
    this.#watchBackoff = new Backoff(options.random);
    this.#pageBackoff = new Backoff(options.random);
    this.#counts = Object.fromEntries(FAILURES.map((failure) => [failure, 0])) as Record<Failure, number>;
  }

  get isWatching(): boolean {
    return this.#watchBeganAt !== undefined;
  }

  counts(): Readonly<Record<Failure, number>> {
    return { ...this.#counts };
  }

  lastError(): KindStatus<Failure>['lastError'] {
    if (this.#last === undefined) return undefined;
    const { code, message, at } = this.#last;
    return { code, message, age: this.#options.clock.now() - at };
  }

  watchBegan(): void {
    const { clock } = this.#options;
    this.#watchBeganAt = clock.now();
    // Only a watch that lasts is a recovery: a server may accept each watch and end it at once.
    if (this.#warnedSince !== undefined) this.#cancelRecovery = clock.after(HEALTHY, () => this.#reportRecovery());
  }

  /** Cancels the log line about a recovery. */
  stop(): void {
    this.#cancelRecovery();
  }

  pageRead(): void {
    this.#pageBackoff.reset();
  }

  /** Notes that the watch ended without a failure. Returns the ms to wait: none. */
  watchEnded(): number {
    this.#watchBeganAt = undefined;
    return 0;
  }

  /** Whether attempts keep failing in a way that a new list may cure. */
  isStuck(error: ApiError, during: 'list' | 'watch'): boolean {
    return this.#backoff(during).failures >= STUCK && !NO_USE_LISTING.has(error.code);
  }

  /** Counts and logs a failure. Returns the ms to wait before the next attempt. */
  next(error: ApiError, during: 'list' | 'watch'): number {
    const { clock } = this.#options;
    const now = clock.now();
    const wasHealthy = this.#watchBeganAt !== undefined && now - this.#watchBeganAt >= HEALTHY;
    this.#watchBeganAt = undefined;
    this.#counts[error.code]++;
    this.#cancelRecovery();
    const isRoutine = ROUTINE.has(error.code) && wasHealthy;
    const isNew = wasHealthy || this.#last?.code !== error.code;
    if (!isRoutine) this.#last = { code: error.code, message: error.message, at: now };
    if (wasHealthy) this.#watchBackoff.reset();
    const delay = isRoutine ? 0 : this.#delay(error, during, isNew);
    this.#report(error, delay, isRoutine);
    return delay;
  }

  #backoff(during: 'list' | 'watch'): Backoff {
    return during === 'list' ? this.#pageBackoff : this.#watchBackoff;
  }

  /** @param isNew whether the last failure was of another kind */
  #delay(error: ApiError, during: 'list' | 'watch', isNew: boolean): number {
    const delay = this.#backoff(during).next(error.retryAfter);
    // Retry at once: a new list or new credentials may help.
    return isNew && (error.code === 'expired' || error.code === 'unauthorized') ? 0 : delay;
  }

  /** Warns of a new outage once, then at every tenth attempt. */
  #report(error: ApiError, delay: number, isRoutine: boolean): void {
    const { log, kind, withoutRight } = this.#options;
    if (error.code === 'forbidden' && withoutRight !== undefined) {
      if (!this.#isToldOfRight) log.warn({ kind, error: error.message }, withoutRight);
      this.#isToldOfRight = true;
      return;
    }
    const failures = Math.max(this.#watchBackoff.failures, this.#pageBackoff.failures);
    const level = isRoutine || (failures > 1 && failures % 10 !== 0) ? 'debug' : 'warn';
    if (level === 'warn') this.#warnedSince ??= this.#options.clock.now();
    const fields = { kind, reason: error.code, error: error.message, failures, retryInSeconds: delay / 1000 };
    log[level](fields, isRoutine ? 'watch ended, continuing' : 'the watch of the API server failed, retrying');
  }

  #reportRecovery(): void {
    const { clock, log, kind } = this.#options;
    const seconds = Math.round((clock.now() - HEALTHY - (this.#warnedSince ?? 0)) / 1000);
    this.#warnedSince = undefined;
    log.info({ kind, outageSeconds: seconds }, 'watching the API server again');
  }
}

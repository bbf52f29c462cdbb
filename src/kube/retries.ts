/** When to try again after a failure, and the record of failures. */
import type { Logger } from 'pino';
import type { KindStatus } from '../agent-state/watch-status.ts';
import type { ClusterRecord } from '../cluster/records.ts';
import { type ApiError, FAILURES, type Failure } from './api-error.ts';
import { Backoff } from './backoff.ts';
import type { Clock } from './clock.ts';

/** A watch that lasted so many ms was a good one: what ends it is a new trouble, not a repeated one. */
const HEALTHY = 5_000;
/** After so many failures in a row, where the server does answer, the version or continue token that it is given may be to blame. */
const STUCK = 5;
/** Failures that another list does not help against. */
const NO_USE_LISTING: ReadonlySet<Failure> = new Set<Failure>([
  'connection',
  'inactive',
  'unauthorized',
  'forbidden',
  'overloaded',
]);

/** Ends of a watch that are no failure. */
const ROUTINE: ReadonlySet<Failure> = new Set<Failure>(['ended', 'quiet']);

export interface RetriesOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly kind: ClusterRecord['kind'];
}

export class Retries {
  readonly #options: RetriesOptions;
  readonly #watchBackoff: Backoff;
  /** A page that was read is progress, while a complete list is none as long as no watch follows it. */
  readonly #pageBackoff: Backoff;
  readonly #counts: Record<Failure, number>;
  #watchBeganAt: number | undefined;
  /** When the outage began that a warning told of; undefined where there is none, or its end was told as well. */
  #warnedSince: number | undefined;
  #cancelRecovery = () => {};
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
    // One that lasts: a server that takes each watch up and ends it at once is not back.
    if (this.#warnedSince !== undefined) this.#cancelRecovery = clock.after(HEALTHY, () => this.#reportRecovery());
  }

  /** Nothing is logged any more. */
  stop(): void {
    this.#cancelRecovery();
  }

  pageRead(): void {
    this.#pageBackoff.reset();
  }

  /** The watch is over for a reason that is no failure. Gives back how many ms to wait: none. */
  watchEnded(): number {
    this.#watchBeganAt = undefined;
    return 0;
  }

  /** Whether attempts fail again and again, in a way that a new list may end. */
  isStuck(error: ApiError, during: 'list' | 'watch'): boolean {
    return this.#backoff(during).failures >= STUCK && !NO_USE_LISTING.has(error.code);
  }

  /** Counts and logs a failure; gives back how many ms to wait before the next attempt. */
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

  /** @param isNew whether the last failure was another one */
  #delay(error: ApiError, during: 'list' | 'watch', isNew: boolean): number {
    const delay = this.#backoff(during).next(error.retryAfter);
    // There is something else to try: a new list, or new credentials.
    return isNew && (error.code === 'expired' || error.code === 'unauthorized') ? 0 : delay;
  }

  /** An outage of hours is one warning, and then one for every tenth attempt. */
  #report(error: ApiError, delay: number, isRoutine: boolean): void {
    const { log, kind } = this.#options;
    const failures = Math.max(this.#watchBackoff.failures, this.#pageBackoff.failures);
    const level = isRoutine || (failures > 1 && failures % 10 !== 0) ? 'debug' : 'warn';
    if (level === 'warn') this.#warnedSince ??= this.#options.clock.now();
    const fields = { kind, reason: error.code, error: error.message, failures, retryInSeconds: delay / 1000 };
    log[level](fields, isRoutine ? 'watch ended, going on' : 'the watch of the API server failed, trying again');
  }
  #reportRecovery(): void {
    const { clock, log, kind } = this.#options;
    const seconds = Math.round((clock.now() - HEALTHY - (this.#warnedSince ?? 0)) / 1000);
    this.#warnedSince = undefined;
    log.info({ kind, outageSeconds: seconds }, 'the API server is watched again');
  }
}

/** Ends an exchange when its peer is silent for too long, or when the caller aborts it. */
import { ApiError } from './api-error.ts';
import type { Clock } from './clock.ts';

export class Silence {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #onAbort = () => this.#fail(new ApiError('ended', 'stopped'));
  readonly #ended = Promise.withResolvers<never>();
  readonly #handlers: ((error: Error) => void)[] = [];
  #error: Error | undefined;
  #limit = 0;
  #message = '';
  #since = 0;
  #paused = false;
  #cancel: (() => void) | undefined;

  /** @param signal ends the exchange */
  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
    this.#ended.promise.catch(() => {});
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort);
  }

  /** From now on, that many ms of silence end the exchange with an ApiError `inactive`. */
  limit(milliseconds: number, message: string): void {
    this.#cancel?.();
    this.#limit = milliseconds;
    this.#message = message;
    this.#since = this.#clock.now();
    if (this.#error === undefined) this.#cancel = this.#clock.after(milliseconds, () => this.#check());
  }

  /** Stops the count while the caller processes data: that time is not the peer's silence. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#since = this.#clock.now();
  }

  /** Calls `handler` once with the reason when the exchange ends, at once if it already has. */
  onEnd(handler: (error: Error) => void): void {
    if (this.#error === undefined) this.#handlers.push(handler);
    else handler(this.#error);
  }

  /** Returns the promise's result; rejects if the exchange ends first. */
  endWith<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#ended.promise]);
  }

  /** Ends the exchange: cancels the timer, leaves the signal, and ends what is still under way. */
  end(): void {
    this.#fail(new ApiError('ended', 'left'));
  }

  /** One timer serves many resumes: it measures the silence and sets itself again for the rest. */
  #check(): void {
    const silent = this.#paused ? 0 : this.#clock.now() - this.#since;
    if (silent < this.#limit) {
      this.#cancel = this.#clock.after(this.#limit - silent, () => this.#check());
    } else {
      this.#fail(new ApiError('inactive', `${this.#message} for ${Math.round(silent / 1000)} s`));
    }
  }

  #fail(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#cancel?.();
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#ended.reject(error);
    for (const handler of this.#handlers) handler(error);
  }
}

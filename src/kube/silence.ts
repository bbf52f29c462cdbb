/** The limit on how long a peer may be silent, and the end of an exchange, for whatever reason, in one place. */
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

  /** @param signal ends the exchange when it is aborted. */
  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
    this.#ended.promise.catch(() => {});
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort);
  }

  /** Silence of more than so many ms from now on ends the exchange with an ApiError of code `inactive`. */
  limit(milliseconds: number, message: string): void {
    this.#cancel?.();
    this.#limit = milliseconds;
    this.#message = message;
    this.#since = this.#clock.now();
    if (this.#error === undefined) this.#cancel = this.#clock.after(milliseconds, () => this.#check());
  }

  /** Something came, and is being worked on: that time is not the peer's. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#since = this.#clock.now();
  }

  /** Called once with the reason when the exchange is to end, at once if that is already so; not when it ended by itself. */
  onEnd(handler: (error: Error) => void): void {
    if (this.#error === undefined) this.#handlers.push(handler);
    else handler(this.#error);
  }

  /** The promise, or the rejection that ends the exchange first. */
  endWith<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#ended.promise]);
  }

  /** The exchange is over: releases what it holds of clock and signal, and ends what is still under way. */
  end(): void {
    this.#fail(new ApiError('ended', 'left'));
  }

  /** One timer serves many resumes: it looks how long the silence really is, and sets itself again for the rest. */
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

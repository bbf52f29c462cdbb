/** A clock that stands still until a test advances it. */
import type { Clock } from '../../src/kube/clock.ts';
import { until } from './until.ts';

interface Timer {
  readonly at: number;
  readonly duration: number;
  readonly callback: () => void;
}

export class TestClock implements Clock {
  readonly #timers = new Set<Timer>();
  #now = 0;

  now(): number {
    return this.#now;
  }

  after(duration: number, callback: () => void): () => void {
    const timer = { at: this.#now + duration, duration, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Durations in ms of the running timers. */
  get running(): number[] {
    return [...this.#timers].map(({ duration }) => duration);
  }

  /** Lets time pass, and runs the callbacks that are due, in order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    while (true) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = next.at;
      next.callback();
    }
    this.#now = end;
  }

  /** Waits until `count` timers of this duration in ms run, and then lets it pass. */
  async elapse(duration: number, count = 1): Promise<void> {
    const isReached = () => this.running.filter((running) => running === duration).length >= count;
    await until(`${count} timers of ${duration} ms run`, isReached, () => `those that run: ${this.running}`);
    this.advance(duration);
  }
}

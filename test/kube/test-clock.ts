/** A clock that stands still until a test turns it. */
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

  /** Durations in ms of the timers that run. */
  get running(): number[] {
    return [...this.#timers].map(({ duration }) => duration);
  }

  /** Lets time pass, and calls back what is due, in its order. */
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

  /** Waits until somebody waits for so many ms, and lets them pass. */
  async elapse(duration: number): Promise<void> {
    await until(`a timer of ${duration} ms runs; there are ${this.running}`, () => this.running.includes(duration));
    this.advance(duration);
  }
}

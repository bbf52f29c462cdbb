/** Long-lived flows: streams of datagrams and of TCP, by turns, by iperf3. */
import { setTimeout as delay } from 'node:timers/promises';
import { datagramRate, tcpThroughput } from '../traffic/iperf.ts';
import type { TwoPods } from '../traffic/two-pods.ts';

export interface StreamRates {
  readonly datagramsPerSecond: number;
  readonly megabitsPerSecond: number;
  /** Length of each turn: iperf3 reports losses when it ends. */
  readonly seconds: number;
}

export class Streams {
  sent = 0;
  lost = 0;
  /** Turns that iperf3 did not complete. */
  failed = 0;
  /** Why the last failed turn failed. */
  failure: string | undefined;
  readonly #pods: TwoPods;
  readonly #rates: StreamRates;

  constructor(pods: TwoPods, rates: StreamRates) {
    this.#pods = pods;
    this.#rates = rates;
  }

  /**
   * Runs until the signal; the current turn is then the last. After a failed turn the next one
   * follows, so that an hour of other traffic is not lost.
   */
  async run(signal: AbortSignal): Promise<void> {
    for (let turn = 0; !signal.aborted; turn++) {
      try {
        await (turn % 2 === 0 ? this.#datagrams() : this.#tcp());
      } catch (error) {
        this.failed++;
        this.failure = String(error);
        await delay(1000, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #datagrams(): Promise<void> {
    const { datagramsPerSecond: rate, seconds } = this.#rates;
    const { sent, lost } = await datagramRate(this.#pods, { seconds, rate });
    this.sent += sent;
    this.lost += lost;
  }

  async #tcp(): Promise<void> {
    const { megabitsPerSecond, seconds } = this.#rates;
    await tcpThroughput(this.#pods, { seconds, rate: megabitsPerSecond * 1e6 });
  }
}

/** Two streams in turns, of datagrams and of TCP, by iperf3: what goes on for long on one flow. */
import { datagramRate, tcpThroughput } from '../traffic/iperf.ts';
import type { TwoPods } from '../traffic/two-pods.ts';

export interface StreamRates {
  readonly datagramsPerSecond: number;
  readonly megabitsPerSecond: number;
  /** Of each turn: iperf3 tells what was lost when it ends. */
  readonly seconds: number;
}

export class Streams {
  sent = 0;
  lost = 0;
  readonly #pods: TwoPods;
  readonly #rates: StreamRates;

  constructor(pods: TwoPods, rates: StreamRates) {
    this.#pods = pods;
    this.#rates = rates;
  }

  /** Until the signal, after which the turn that runs is the last. Rejects where iperf3 fails. */
  async run(signal: AbortSignal): Promise<void> {
    const { datagramsPerSecond, megabitsPerSecond, seconds } = this.#rates;
    while (!signal.aborted) {
      const { sent, lost } = await datagramRate(this.#pods, { seconds, rate: datagramsPerSecond });
      this.sent += sent;
      this.lost += lost;
      if (!signal.aborted) await tcpThroughput(this.#pods, { seconds, rate: megabitsPerSecond * 1e6 });
    }
  }
}

/** Traffic of paced-process.ts, as a benchmark starts and reads it. */
import { inChild } from '../harness/child.ts';
import type { Target } from './exchanges.ts';
import type { PortRange } from './sockets.ts';
import { serverAddress, type TwoPods } from './two-pods.ts';

/** One flow for all datagrams, a new flow for each, or a TCP handshake. */
export type Way = 'steady flow' | 'new flow' | 'handshake';

/** Results of one way's exchanges: times in us, and how many had no answer. */
export interface Faring {
  readonly samples: number[];
  lost: number;
}

export type Fared = Readonly<Partial<Record<Way, Faring>>>;

export interface PacedInput extends Target {
  readonly ways: readonly Way[];
  /** Port of a TCP server. */
  readonly tcpPort: number;
  /** Exchanges a second of each way; fewer if answers take longer. */
  readonly perSecond: number;
  /** Interval in ms. */
  readonly reportEvery: number;
  /**
   * Ports of the new flows. None may be used twice while the kernel remembers its flow. @default
   * 50,000 ports
   */
  readonly sourcePorts?: PortRange;
  /** The core to run on. @default where the kernel puts it */
  readonly core?: number;
}

const PROCESS = new URL('./paced-process.ts', import.meta.url);

export class PacedTraffic implements Disposable {
  readonly #end = new AbortController();
  readonly #fared = new Map<Way, Faring>();
  readonly #ended: Promise<never>;
  readonly #first = Promise.withResolvers<void>();

  constructor(pods: TwoPods, input: Omit<PacedInput, 'address'>, signal: AbortSignal) {
    this.#ended = pods.client.netns.run(() =>
      inChild<never>(
        PROCESS,
        { ...input, address: serverAddress(pods) },
        {
          signal: AbortSignal.any([signal, this.#end.signal]),
          onReport: (fared) => this.#add(fared as Fared),
        },
      ),
    );
    this.#ended.catch(() => undefined);
  }

  /** Resolves at the first report; rejects if there is none. */
  get began(): Promise<void> {
    return Promise.race([this.#first.promise, this.#ended]);
  }

  /** Rejects when the traffic has ended. */
  get ended(): Promise<never> {
    return this.#ended;
  }

  /** Returns the results of one way that were reported since the last call. */
  take(way: Way): Faring {
    const fared = this.#fared.get(way) ?? { samples: [], lost: 0 };
    this.#fared.delete(way);
    return fared;
  }

  [Symbol.dispose](): void {
    this.#end.abort();
  }

  #add(fared: Fared): void {
    this.#first.resolve();
    for (const [way, { samples, lost }] of Object.entries(fared)) {
      const sum = this.#fared.get(way as Way) ?? { samples: [], lost: 0 };
      for (const sample of samples) sum.samples.push(sample);
      sum.lost += lost;
      this.#fared.set(way as Way, sum);
    }
  }
}

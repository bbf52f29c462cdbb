/** The probing streams of stream-process.ts, as the benchmark sees them. */
import type { Host } from '../../src/lab/topology.ts';
import { inChild } from '../harness/child.ts';
import type { Target } from '../traffic/exchanges.ts';
import type { StreamInput } from './stream-process.ts';

export const STREAMS = ['established flow', 'new flows'] as const;
export type StreamName = (typeof STREAMS)[number];

/** Report that a stream has begun or ceased to arrive. */
export interface Turn {
  readonly stream: StreamName;
  readonly arriving: boolean;
  /** When the first datagram that was affected was sent, by `monotonic`. */
  readonly sentAt: number;
}

const PROCESS = new URL('./stream-process.ts', import.meta.url);
/** How long a change may take to show in the streams, in ms. */
const PATIENCE = 15_000;

export class ProbingStreams implements Disposable {
  readonly #last = new Map<StreamName, Turn>();
  readonly #end = new AbortController();
  readonly #ended: Promise<never>;
  #changed = Promise.withResolvers<void>();

  constructor(client: Host, server: Host, port: number, signal: AbortSignal) {
    const target: Target = { address: server.addresses[0] ?? '', port };
    const input: StreamInput = { ...target, server: server.netns.path };
    this.#ended = client.netns.run(() =>
      inChild<never>(PROCESS, input, {
        signal: AbortSignal.any([signal, this.#end.signal]),
        onReport: (turn) => this.#note(turn as Turn),
      }),
    );
    this.#ended.catch(() => undefined);
  }

  /**
   * Resolves when both streams arrive, or when neither does. Returns for each stream when its first
   * affected datagram was sent; undefined if it was in that state before `since`. Rejects if that
   * does not happen in time.
   */
  async become(arriving: boolean, since = 0): Promise<Readonly<Record<StreamName, number | undefined>>> {
    const deadline = AbortSignal.timeout(PATIENCE);
    const late = new Promise<never>((_, reject) => {
      deadline.addEventListener('abort', () => reject(new Error(this.#complaint(arriving))));
    });
    // Rejects too late to matter if both streams are in that state already.
    late.catch(() => undefined);
    while (!STREAMS.every((name) => (this.#last.get(name)?.arriving ?? false) === arriving)) {
      await Promise.race([this.#changed.promise, this.#ended, late]);
    }
    const sentAt = (name: StreamName) => {
      const turn = this.#last.get(name);
      return turn === undefined || turn.sentAt < since ? undefined : turn.sentAt;
    };
    return { 'established flow': sentAt('established flow'), 'new flows': sentAt('new flows') };
  }

  [Symbol.dispose](): void {
    this.#end.abort();
  }

  #note(turn: Turn): void {
    this.#last.set(turn.stream, turn);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #complaint(arriving: boolean): string {
    const states = STREAMS.map((name) => `${name} ${this.#last.get(name)?.arriving ? 'arrives' : 'does not arrive'}`);
    return `after ${PATIENCE / 1000} s the change is not enforced: ${states.join(', ')}; both should ${arriving ? 'arrive' : 'not arrive'}`;
  }
}

/**
 * Live traffic, judged by a whole cluster's policies: observed, or carried between interfaces.
 *
 *     process with libpcap, one per side --frames--> thread that judges --allowed--> the other side
 *
 * A capture process that ends is restarted, and the thread keeps its flows. A cable carries nothing
 * while one of its ends is not captured.
 */

import { Capture, type CaptureChange } from '../capture/capture.ts';
import type { FlowEvent } from '../flows/flow-events.ts';
import type { LinkLocalFlags } from '../frames/link-local.ts';
import type { FrameCounters } from '../judging/frame-counters.ts';
import type { Pair } from '../wire/cables.ts';
import { FrameThread, type FrameThreadOptions } from './frame-thread.ts';
import type { WholeCluster } from './whole-cluster.ts';

export type { CaptureChange } from '../capture/capture.ts';
export { CaptureUnavailableError } from '../capture/capture.ts';
export type { LinkLocalFlags } from '../frames/link-local.ts';
export type { Pair } from '../wire/cables.ts';

/**
 * Bytes of a frame that a verdict needs: link and IP headers with their options, the transport
 * header, and the same headers of the packet that an ICMP error quotes.
 */
const HEADERS = 512;
const WHOLE_FRAMES = 65_535;

export const DEFAULT_FLOWS = 1 << 17;
export const DEFAULT_BUFFER = 1 << 26;

const ALL_PASS: LinkLocalFlags = { arp: true, neighbourDiscovery: true, groups: true, linkAddresses: true };

interface LiveTrafficOptions {
  readonly cluster: WholeCluster;
  /**
   * Size of each of two flow tables: for flows that policies cover, and for the others. @default
   * DEFAULT_FLOWS
   */
  readonly flowCapacity?: number;
  /** Bytes of the kernel's buffer for each interface. @default DEFAULT_BUFFER */
  readonly bufferBytes?: number;
  /** Calls `start` in the interfaces' network namespace. @default the calling thread's */
  readonly inNamespace?: <T>(start: () => T) => T;
  /** Called when an interface opens or closes, or when the reason why it is closed changes. */
  readonly onChange?: (change: CaptureChange) => void;
}

export interface ListenOptions extends LiveTrafficOptions {
  readonly interfaces: readonly string[];
}

export interface WireOptions extends LiveTrafficOptions {
  readonly pairs: readonly Pair[];
  /** Which link-local traffic passes. @default all of it */
  readonly pass?: Partial<LinkLocalFlags>;
  /**
   * For this many ms, connections older than the wire pass if either direction would be allowed.
   * @default 0
   */
  readonly adopt?: number;
}

type How = Pick<FrameThreadOptions, 'wire' | 'observes' | 'adopt'>;

export class LiveTraffic {
  readonly #cluster: WholeCluster;
  readonly #captures: readonly Capture[];
  readonly #thread: FrameThread;

  private constructor(
    { cluster, flowCapacity = DEFAULT_FLOWS, inNamespace }: LiveTrafficOptions,
    captures: readonly Capture[],
    how: How,
  ) {
    this.#cluster = cluster;
    this.#captures = captures;
    const { table, places } = cluster.compile();
    this.#thread = new FrameThread({
      ...{ captures: captures.map(({ handle }) => handle), table: table.buffer, places, flowCapacity },
      ...how,
      ...(inNamespace === undefined ? {} : { inNamespace }),
    });
  }

  /** Judges traffic without touching it. @throws CaptureUnavailableError */
  static async listen(options: ListenOptions): Promise<LiveTraffic> {
    const { interfaces, onChange = () => undefined } = options;
    const capture = new Capture({ ...common(options), interfaces, frames: 'all', snapLength: HEADERS, onChange });
    return await LiveTraffic.#start(options, [capture], {
      wire: undefined,
      observes: true,
      adopt: 0,
    });
  }

  /**
   * Carries allowed traffic between the interfaces of each pair. @throws CaptureUnavailableError
   */
  static async wire(options: WireOptions): Promise<LiveTraffic> {
    const { pairs, adopt = 0 } = options;
    const pass = { ...ALL_PASS, ...options.pass };
    const captured = new SharedArrayBuffer(4 * pairs.length);
    const words = new Int32Array(captured);
    const captures: Capture[] = [];
    const onChange = (change: CaptureChange) => {
      for (const cable of pairs.keys()) words[cable] = captures.filter((capture) => capture.isOpen(cable)).length;
      options.onChange?.(change);
    };
    for (const side of [0, 1] as const) {
      const interfaces = pairs.map((pair) => pair[side]);
      captures.push(
        new Capture({ ...common(options), interfaces, frames: 'incoming-but-udp', snapLength: WHOLE_FRAMES, onChange }),
      );
    }
    const wire = { pairs, pass, captured };
    return await LiveTraffic.#start(options, captures, { wire, observes: false, adopt });
  }

  /**
   * Resolves when the judging thread has ended: with undefined after `stop`, otherwise with the
   * error. From then on a wire carries nothing.
   */
  get ended(): Promise<Error | undefined> {
    return this.#thread.ended;
  }

  get counters(): FrameCounters {
    return this.#thread.counters;
  }

  /** Frames captured. */
  get captured(): number {
    return this.#captures.reduce((sum, { captured }) => sum + captured, 0);
  }

  /** Frames that the kernel dropped because a buffer was full. */
  get dropped(): number {
    return this.#captures.reduce((sum, { dropped }) => sum + dropped, 0) + this.counters.get('udpDropped');
  }

  /** How often a capture process was restarted. */
  get restarts(): number {
    return this.#captures.reduce((sum, { restarts }) => sum + restarts, 0);
  }

  /** The interfaces that are not captured now, and why. */
  get closed(): readonly CaptureChange[] {
    return this.#captures.flatMap(({ closed }) => closed);
  }

  /** Process ids of the running capture processes. */
  get pids(): readonly number[] {
    return this.#captures.flatMap(({ pid }) => pid ?? []);
  }

  /**
   * Publishes the changed cluster. Resolves when nothing is judged by the previous one any more.
   */
  async update(): Promise<void> {
    const { table, places } = this.#cluster.compile();
    await this.#thread.command({ type: 'cluster', table: table.buffer, places });
  }

  /**
   * Calls `take` for each flow opened or denied since the previous drain. Returns how many events
   * were lost because the drains came too rarely.
   */
  drain(take: (event: FlowEvent) => void): number {
    return this.#thread.drain(take);
  }

  async stop(): Promise<void> {
    // The thread reads the captures' memory, so it ends first.
    await this.#thread.stop();
    await Promise.all(this.#captures.map((capture) => capture.stop()));
  }

  static async #start(options: LiveTrafficOptions, captures: readonly Capture[], how: How): Promise<LiveTraffic> {
    const traffic = new LiveTraffic(options, captures, how);
    try {
      await Promise.all([traffic.#thread.ready, ...captures.map(({ tried }) => tried)]);
      if (traffic.#thread.failure !== undefined) throw traffic.#thread.failure;
      return traffic;
    } catch (error) {
      await traffic.stop();
      throw error;
    }
  }
}

function common({ bufferBytes = DEFAULT_BUFFER, inNamespace }: LiveTrafficOptions) {
  return { bufferBytes, ...(inNamespace === undefined ? {} : { inNamespace }) };
}

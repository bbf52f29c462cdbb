/**
 * Live traffic, judged by a whole cluster's policies: listened to, or carried as a wire carries it.
 *
 *     process with libpcap, one for each side --frames--> thread that judges --allowed frames--> the other side
 *
 * The processes come back when they end, and what the thread knows of flows stays. While a side of a cable is not captured the cable carries nothing.
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

/** Bytes of a frame that a verdict needs: link and IP headers with their options, transport header, and as much of what an ICMP error quotes. */
const HEADERS = 512;
const WHOLE_FRAMES = 65_535;

export const DEFAULT_FLOWS = 1 << 17;
export const DEFAULT_BUFFER = 1 << 26;

const ALL_PASS: LinkLocalFlags = { arp: true, neighbourDiscovery: true, groups: true, linkAddresses: true };

interface LiveTrafficOptions {
  readonly cluster: WholeCluster;
  /** Tracked at once, and as many more that no policy is about. @default DEFAULT_FLOWS */
  readonly flowCapacity?: number;
  /** Of the kernel, for each interface. @default DEFAULT_BUFFER */
  readonly bufferBytes?: number;
  /** Calls `start` in the network namespace of the interfaces. @default that of the calling thread */
  readonly inNamespace?: <T>(start: () => T) => T;
  /** An interface was opened or closed, or why it is closed has changed. */
  readonly onChange?: (change: CaptureChange) => void;
}

export interface ListenOptions extends LiveTrafficOptions {
  readonly interfaces: readonly string[];
}

export interface WireOptions extends LiveTrafficOptions {
  readonly pairs: readonly Pair[];
  /** @default all of it */
  readonly pass?: Partial<LinkLocalFlags>;
  /** For so many ms connections that were open before pass where a direction allows them. @default 0 */
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

  /** Listens, and lets everything be. @throws CaptureUnavailableError */
  static async listen(options: ListenOptions): Promise<LiveTraffic> {
    const { interfaces, onChange = () => undefined } = options;
    const capture = new Capture({ ...common(options), interfaces, frames: 'all', snapLength: HEADERS, onChange });
    return await LiveTraffic.#start(options, [capture], {
      wire: undefined,
      observes: true,
      adopt: 0,
    });
  }

  /** Carries what is allowed. @throws CaptureUnavailableError */
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

  /** Resolves when the thread that judges has ended, which it only does when stopped, or on a fault. Nothing passes from then on. */
  get ended(): Promise<Error | undefined> {
    return this.#thread.ended;
  }

  get counters(): FrameCounters {
    return this.#thread.counters;
  }

  /** Frames that were captured, */
  get captured(): number {
    return this.#captures.reduce((sum, { captured }) => sum + captured, 0);
  }

  /** those that the kernel dropped before, because a buffer was full, */
  get dropped(): number {
    return this.#captures.reduce((sum, { dropped }) => sum + dropped, 0) + this.counters.get('udpDropped');
  }

  /** and how often a process that captures had to be started again. */
  get restarts(): number {
    return this.#captures.reduce((sum, { restarts }) => sum + restarts, 0);
  }

  /** Interfaces that are not captured now, and why. */
  get closed(): readonly CaptureChange[] {
    return this.#captures.flatMap(({ closed }) => closed);
  }

  /** Process ids of those that capture. */
  get pids(): readonly number[] {
    return this.#captures.flatMap(({ pid }) => pid ?? []);
  }

  /** The cluster has changed; resolves when nothing is judged any more by what was before. */
  async update(): Promise<void> {
    const { table, places } = this.#cluster.compile();
    await this.#thread.command({ type: 'cluster', table: table.buffer, places });
  }

  /** Flows that were opened or denied since; gives back how many were lost, because they came faster than this was called. */
  drain(take: (event: FlowEvent) => void): number {
    return this.#thread.drain(take);
  }

  async stop(): Promise<void> {
    // The thread reads the captures' memory.
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

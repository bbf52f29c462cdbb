/**
 * Counters of the thread that judges captured frames, in memory shared with the main thread:
 * float64, by reason and then by the names below.
 */
import { REASONS } from '../filter/reasons.ts';

const NAMES = [
  /** Frames without an IP packet, unless they passed as link-local. */
  'notIp',
  /** Link-local frames that passed unjudged. */
  'linkLocal',
  /** Link-local frames that were dropped. */
  'linkLocalDenied',
  /** Packets from or to a Service's own address, left out. */
  'services',
  /** Fragments that came before their first one and were held for it. */
  'fragmentsHeld',
  /** Fragments that came before their first one and were not held. */
  'fragmentsLost',
  /** Allowed frames that were sent on. */
  'sent',
  /** Allowed frames that the kernel refused to send. */
  'refused',
  /** Allowed frames that were too long for the interface, or not captured whole. */
  'tooLong',
  /** Frames that came in while their cable was closed. */
  'closed',
  /** Packets that passed, though they count under a denial's reason: only audited policies deny. */
  'wouldBeDenied',
  /** UDP frames that the kernel dropped before they were received. */
  'udpDropped',
] as const;

export type FrameCount = (typeof NAMES)[number];

export class FrameCounters {
  readonly #values: Float64Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#values = new Float64Array(buffer);
  }

  static shared(): SharedArrayBuffer {
    return new SharedArrayBuffer((REASONS.length + NAMES.length) * Float64Array.BYTES_PER_ELEMENT);
  }

  countReason(reason: number, audited: boolean): void {
    this.#values[reason] = (this.#values[reason] as number) + 1;
    if (audited) this.count('wouldBeDenied');
  }

  /** Packets by index into REASONS. */
  get byReason(): readonly number[] {
    return [...this.#values.subarray(0, REASONS.length)];
  }

  count(name: FrameCount, frames = 1): void {
    const at = REASONS.length + NAMES.indexOf(name);
    this.#values[at] = (this.#values[at] as number) + frames;
  }

  get(name: FrameCount): number {
    return this.#values[REASONS.length + NAMES.indexOf(name)] as number;
  }

  /** The counters that are not by reason. */
  named(): Readonly<Record<FrameCount, number>> {
    return Object.fromEntries(NAMES.map((name) => [name, this.get(name)])) as Record<FrameCount, number>;
  }
}

/** What the thread that judges captured frames counts, in memory that it shares with the main thread: float64, by reason and then as named here. */
import { REASONS } from '../filter/reasons.ts';

const NAMES = [
  /** Frames that are not of IP and were not let through. */
  'notIp',
  /** Let through unjudged, as it never leaves its link; */
  'linkLocal',
  /** or not let through for the same reason. */
  'linkLocalDenied',
  /** From or to a Service's address: left out. */
  'services',
  /** Fragments that came before their first one, and waited for it; */
  'fragmentsHeld',
  /** or for which there was no room. */
  'fragmentsLost',
  /** Allowed, and sent on: frames. */
  'sent',
  /** Allowed, but the kernel did not take it. */
  'refused',
  /** Allowed, but too long for the interface, or not captured as a whole. */
  'tooLong',
  /** Captured while the other end was closed. */
  'closed',
  /** Packets of those that are counted by a reason to deny: audited policies alone deny them, and they pass. */
  'wouldBeDenied',
  /** UDP that the kernel dropped before it was received. */
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

  /** All that are not by reason. */
  named(): Readonly<Record<FrameCount, number>> {
    return Object.fromEntries(NAMES.map((name) => [name, this.get(name)])) as Record<FrameCount, number>;
  }
}

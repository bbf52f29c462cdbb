/**
 * Remembers the verdict on a datagram's first fragment for the later ones, which have no ports. On
 * a node the kernel's connection tracking reassembles fragments first; in front of a wire and in a
 * recording nothing does.
 *
 * A datagram is known by its addresses, protocol and identification (RFC 791 section 3.2, RFC 8200
 * section 4.5). A later fragment follows the most recent first fragment of its datagram. That opens
 * no way around policies: a receiver reassembles nothing without a first fragment, and each first
 * fragment was judged by its own ports.
 */
import type { Packet } from '../packet/packet.ts';
import { AUTHENTICATION, FRAGMENT_HEADER } from '../packet/protocols.ts';

/** How long a receiver waits for the rest of a datagram, in ms (net.ipv4.ipfrag_time). */
const LIFETIME = 30_000;
const DATAGRAMS = 4096;
/** Most fragments of all datagrams that are held until their first one comes. */
const MOST_HELD = 256;

/** No first fragment of the datagram was judged. */
export const UNKNOWN_DATAGRAM = -1;

interface Datagram {
  reason: number;
  seenAt: number;
  held: Uint8Array[];
}

export class Fragments {
  readonly #datagrams = new Map<string, Datagram>();
  #held = 0;

  /**
   * Records the reason for a datagram's first fragment. Returns the fragments held for it, in order
   * of arrival.
   */
  judged(key: string, reason: number, now: number): readonly Uint8Array[] {
    const held = this.#datagrams.get(key)?.held ?? [];
    this.#forget(key);
    this.#remember(key, { reason, seenAt: now, held: [] });
    return held;
  }

  /** Returns the reason that applies to a later fragment, or UNKNOWN_DATAGRAM. */
  reason(key: string, now: number): number {
    const datagram = this.#datagrams.get(key);
    if (datagram === undefined) return UNKNOWN_DATAGRAM;
    if (((now - datagram.seenAt) | 0) <= LIFETIME) return datagram.reason;
    this.#forget(key);
    return UNKNOWN_DATAGRAM;
  }

  /** Keeps a fragment until its first one is judged; false if there is no room for it. */
  hold(key: string, fragment: Uint8Array, now: number): boolean {
    if (this.#held >= MOST_HELD) this.#letExpire(now);
    if (this.#held >= MOST_HELD) return false;
    const datagram = this.#datagrams.get(key) ?? { reason: UNKNOWN_DATAGRAM, seenAt: now, held: [] };
    datagram.held.push(fragment);
    this.#held++;
    if (datagram.held.length === 1) this.#remember(key, datagram);
    return true;
  }

  #remember(key: string, datagram: Datagram): void {
    this.#datagrams.set(key, datagram);
    const [oldest] = this.#datagrams.keys();
    if (this.#datagrams.size > DATAGRAMS && oldest !== undefined) this.#forget(oldest);
  }

  #forget(key: string): void {
    this.#held -= this.#datagrams.get(key)?.held.length ?? 0;
    this.#datagrams.delete(key);
  }

  #letExpire(now: number): void {
    for (const [key, { seenAt }] of this.#datagrams) {
      if (((now - seenAt) | 0) > LIFETIME) this.#forget(key);
    }
  }
}

/**
 * Returns a key that all fragments of one datagram share. `offset` is where the IP header starts;
 * the packet was decoded as a fragment.
 */
export function datagramOf(packet: Packet, view: DataView, offset: number): string {
  const { src0, src1, src2, src3, dst0, dst1, dst2, dst3, protocol } = packet;
  if (packet.family === 4) return `${protocol} ${view.getUint16(offset + 4)} ${src0} ${dst0}`;
  // The key lacks the protocol, which may follow headers that only the first fragment has.
  return `${fragmentId6(view, offset)} ${src0} ${src1} ${src2} ${src3} ${dst0} ${dst1} ${dst2} ${dst3}`;
}

/** Walks like packet/ipv6-extensions.ts, which has already found this packet's fragment header. */
function fragmentId6(view: DataView, offset: number): number {
  let next = view.getUint8(offset + 6);
  let at = offset + 40;
  while (next !== FRAGMENT_HEADER) {
    const length = view.getUint8(at + 1);
    const here = at;
    at += next === AUTHENTICATION ? (length + 2) << 2 : (length + 1) << 3;
    next = view.getUint8(here);
  }
  return view.getUint32(at + 4);
}

/**
 * Path MTUs learned from ICMP errors that pass through the wire: fragmentation needed (RFC 1191)
 * and packet too big (RFC 8201). A sender that leaves segmentation to the network card expects
 * segments that fit the path MTU.
 */
import type { Packet } from '../packet/packet.ts';
import { ICMP } from '../packet/protocols.ts';

const DESTINATION_UNREACHABLE = 3;
const FRAGMENTATION_NEEDED = 4;
const PACKET_TOO_BIG = 2;
const PATHS = 4096;
/**
 * In ms. RFC 1191 section 6.3 asks to forget old values; Linux does so after the same time
 * (net.ipv4.route.mtu_expires).
 */
const LIFETIME = 600_000;
const SMALLEST = 576;

interface Path {
  readonly mtu: number;
  readonly learntAt: number;
}

export class PathMtu {
  readonly #paths = new Map<string, Path>();

  /** Learns the MTU from an ICMP error that passes; `icmp` is the offset of its header. */
  learn(packet: Packet, view: DataView, icmp: number, now: number): void {
    const isIpv4 = packet.protocol === ICMP;
    const isMeant = isIpv4
      ? packet.icmpType === DESTINATION_UNREACHABLE && packet.icmpCode === FRAGMENTATION_NEEDED
      : packet.icmpType === PACKET_TOO_BIG;
    if (!isMeant) return;
    const mtu = isIpv4 ? view.getUint16(icmp + 6) : view.getUint32(icmp + 4);
    if (mtu < SMALLEST) return;
    const key = `${packet.qDst0} ${packet.qDst1} ${packet.qDst2} ${packet.qDst3}`;
    this.#paths.delete(key);
    this.#paths.set(key, { mtu, learntAt: now });
    const [oldest] = this.#paths.keys();
    if (this.#paths.size > PATHS && oldest !== undefined) this.#paths.delete(oldest);
  }

  /** Returns the largest packet size towards the packet's destination, `mtu` at most. */
  towards({ dst0, dst1, dst2, dst3 }: Packet, mtu: number, now: number): number {
    if (this.#paths.size === 0) return mtu;
    const path = this.#paths.get(`${dst0} ${dst1} ${dst2} ${dst3}`);
    return path === undefined || ((now - path.learntAt) | 0) > LIFETIME ? mtu : Math.min(mtu, path.mtu);
  }
}

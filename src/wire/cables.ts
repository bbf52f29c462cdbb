/**
 * Cables between interfaces: an allowed frame that comes in at one end goes out at the other. A
 * cable is open while both ends are captured; a closed one carries nothing.
 */

import { interfaceOf, linkTypeOf } from '../capture/capture-messages.ts';
import type { FrameRingReader } from '../capture/frame-ring.ts';
import { Interface } from '../capture/interfaces.ts';
import { takeStatistics } from '../capture/packet-statistics.ts';
import { FIRST_DENY, NEIGHBOUR_DISCOVERY, RELATED } from '../filter/reasons.ts';
import { EARLY_FRAGMENT, type FrameJudge, NOT_IP } from '../frames/frame-judge.ts';
import { LINKTYPE_ETHERNET, LinkFrame } from '../frames/link-frame.ts';
import { type LinkLocalFlags, passesLinkLocal } from '../frames/link-local.ts';
import type { FrameCounters } from '../judging/frame-counters.ts';
import { Forwarder, type FrameMemory, transportOf, viewed } from './forwarder.ts';
import { UdpReceiver } from './packet-socket.ts';
import { VNET_HEADER } from './vnet-header.ts';

const LITTLE_ENDIAN = true;

/** The names of a cable's two interfaces. */
export type Pair = readonly [string, string];

export interface WireSetup {
  readonly pairs: readonly Pair[];
  readonly pass: LinkLocalFlags;
  /** One int32 a pair: how many of its ends are captured. */
  readonly captured: SharedArrayBuffer;
}

/** One end of a cable. */
interface End {
  /** The number of the cable, an index into `WireSetup.captured`. */
  readonly cable: number;
  readonly own: Interface;
  readonly other: Interface;
}

export class Cables {
  readonly udp: UdpReceiver;
  readonly #forwarder: Forwarder;
  readonly #judge: FrameJudge;
  readonly #counters: FrameCounters;
  readonly #pass: LinkLocalFlags;
  /** How many ends of each cable are captured. */
  readonly #captured: Int32Array;
  /** Ends by side, then by cable. */
  readonly #ends: readonly (readonly End[])[];
  readonly #endByIndex = new Map<number, End>();
  readonly #frame = new LinkFrame();
  readonly #received: FrameMemory;
  /** Whether the last frame passed or was dropped as link-local traffic, not by policy. */
  #isUnjudged = false;

  constructor({ pairs, pass, captured }: WireSetup, judge: FrameJudge, counters: FrameCounters) {
    this.#judge = judge;
    this.#counters = counters;
    this.#pass = pass;
    this.#captured = new Int32Array(captured);
    this.#forwarder = new Forwarder(counters);
    const cables = pairs.map(([a, b]) => [new Interface(a), new Interface(b)] as const);
    this.#ends = [
      cables.map(([own, other], cable) => ({ cable, own, other })),
      cables.map(([other, own], cable) => ({ cable, own, other })),
    ];
    this.udp = new UdpReceiver(2 * pairs.length);
    this.#received = viewed(this.udp.memory);
    this.refresh();
  }

  /**
   * Looks for interfaces that have vanished or appeared, and counts dropped UDP frames. Call it
   * several times a second.
   */
  refresh(): void {
    const ends = this.#ends.flat();
    const changed = ends.filter(({ own }) => own.refresh());
    if (changed.length > 0) {
      this.#endByIndex.clear();
      for (const end of ends) if (end.own.index > 0) this.#endByIndex.set(end.own.index, end);
      this.udp.listen([...this.#endByIndex.keys()]);
    }
    this.#counters.count('udpDropped', takeStatistics(this.udp.fd).dropped);
  }

  /**
   * Judges the frame at the ring's position, captured on `side` (0 or 1), and sends it on if it is
   * allowed.
   */
  take(ring: FrameRingReader, side: number, now: number): void {
    const { view, offset, length, realLength, tag } = ring;
    const end = this.#ends[side]?.[interfaceOf(tag)];
    if (end === undefined || !this.#isOpen(end)) {
      this.#counters.count('closed');
      return;
    }
    if (linkTypeOf(tag) !== LINKTYPE_ETHERNET) {
      this.#counters.count('notIp');
      return;
    }
    if (!this.#isAllowed(view, offset, length, realLength, now)) return;
    const { frame, packet } = this.#judge;
    if (realLength > length) this.#counters.count('tooLong');
    else if (this.#isUnjudged) this.#forwarder.send(ring, offset, length, end.other);
    else this.#forwarder.sendIp(ring, offset, length, frame, packet, end.own.mtu, end.other, now);
    this.#release(end);
  }

  /**
   * Judges the UDP frames that have arrived and sends the allowed ones on. Returns how many
   * arrived.
   */
  takeUdp(now: number): number {
    const { udp } = this;
    const count = udp.receive();
    for (let i = 0; i < count; i++) {
      const end = this.#endByIndex.get(udp.interfaceOf(i));
      const header = udp.headerAt(i);
      const length = udp.lengthOf(i);
      if (end === undefined || !this.#isOpen(end)) {
        this.#counters.count('closed');
      } else if (this.#isAllowed(udp.view, header + VNET_HEADER, length, length, now)) {
        this.#forwarder.sendReceived(this.#received, header, length, end.other);
        this.#release(end);
      }
    }
    if (count > 0) this.#forwarder.flush();
    return count;
  }

  /** Hands all allowed frames to the kernel. */
  flush(): void {
    this.#forwarder.flush();
  }

  #isOpen({ cable }: End): boolean {
    return this.#captured[cable] === 2;
  }

  #isAllowed(view: DataView, offset: number, length: number, realLength: number, now: number): boolean {
    this.#isUnjudged = false;
    // A group address has the lowest bit of its first byte set.
    if ((view.getUint8(offset) & 1) !== 0 || !this.#pass.linkAddresses) {
      this.#frame.read(view, offset, length, realLength, LINKTYPE_ETHERNET, LITTLE_ENDIAN);
      const passes = passesLinkLocal(this.#pass, view, offset, this.#frame);
      if (passes !== undefined) return this.#passUnjudged(passes);
    }
    const reason = this.#judge.judge(view, offset, length, realLength, LINKTYPE_ETHERNET, LITTLE_ENDIAN, now);
    if (reason === NOT_IP) {
      const passes = passesLinkLocal(this.#pass, view, offset, this.#judge.frame);
      if (passes !== undefined) return this.#passUnjudged(passes);
      this.#counters.count('notIp');
      return false;
    }
    if (reason === EARLY_FRAGMENT) {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, length).slice();
      const isHeld = this.#judge.fragments.hold(this.#judge.datagram, bytes, now);
      this.#counters.count(isHeld ? 'fragmentsHeld' : 'fragmentsLost');
      return false;
    }
    if (reason === NEIGHBOUR_DISCOVERY) return this.#passUnjudged(this.#pass.neighbourDiscovery);
    // Count the later fragments, held until now, with their first one.
    for (let packets = 1 + this.#judge.released.length; packets > 0; packets--)
      this.#counters.countReason(reason, this.#judge.isAudited);
    if (reason === RELATED) {
      const { frame, packet } = this.#judge;
      this.#forwarder.paths.learn(packet, view, transportOf(view, frame, packet), now);
    }
    return reason < FIRST_DENY || this.#judge.isAudited;
  }

  #passUnjudged(passes: boolean): boolean {
    this.#isUnjudged = true;
    this.#counters.count(passes ? 'linkLocal' : 'linkLocalDenied');
    return passes;
  }

  /** Sends the fragments that were held until this frame, their first fragment, was allowed. */
  #release(end: End): void {
    if (this.#isUnjudged) return;
    for (const fragment of this.#judge.released) this.#forwarder.sendCopy(fragment, end.other);
  }
}

/**
 * Judges captured frames. It adds to the filter what the kernel does on a node before a packet gets
 * there:
 *
 *     frame -> IP packet? -> flow remembered here? -> filter -> later fragment?
 *           -> a Service's address? -> denied, but between a pod and its own node?
 *
 * Every pod of the cluster is an endpoint of the table, so both directions are judged wherever the
 * capture runs. Connections older than the capture are adopted if a direction allows them, because
 * no capture shows their beginning.
 */
import type { FlowKey } from '../conntrack/flow-key.ts';
import { FlowTable } from '../conntrack/flow-table.ts';
import { NO_SLOT } from '../conntrack/slots.ts';
import {
  canReopen,
  EVENT_ACCEPT,
  EVENT_OPEN,
  EVENT_REPLY,
  eventOf,
  OPENER,
  OTHER,
  openingState,
  settledState,
} from '../conntrack/states.ts';
import type { Filter } from '../filter/filter.ts';
import {
  ADOPTED,
  ALLOWED_BY_POLICY,
  FIRST_DENY,
  LOCAL_NODE,
  opensOrIsDenied,
  REVOKED,
  SAME_POD,
} from '../filter/reasons.ts';
import { decode } from '../packet/decode.ts';
import { OK, Packet } from '../packet/packet.ts';
import { hasPorts } from '../packet/protocols.ts';
import { datagramOf, Fragments, UNKNOWN_DATAGRAM } from './fragments.ts';
import { LinkFrame } from './link-frame.ts';
import type { Places } from './places.ts';

/** Returned by `judge` instead of a reason: the frame contains no IP packet. */
export const NOT_IP = -1;
/**
 * Returned by `judge` instead of a reason: the packet has a Service's own address. It is judged
 * where it shows with the backend's.
 */
export const SERVICE = -2;
/** Returned by `judge` instead of a reason: the first fragment has not come. */
export const EARLY_FRAGMENT = -3;

/**
 * About 12 days in ms, renewed before they end: packets of connections older than the capture come
 * at any time.
 */
const ALWAYS = 0x3fffffff;

/**
 * Reports a flow that was opened, or a packet that was denied. `audited`: only audited policies
 * deny it. `reversed`: the packet goes from its flow's destination to its source.
 */
export type TellFlow = (packet: Packet, reason: number, direction: number, audited: boolean, reversed: boolean) => void;

export interface FrameJudgeOptions {
  /**
   * Whether the traffic goes on whatever the verdict. If so:
   * - The rest of a denied flow is denied for the same reason, both ways, and not reported again:
   *   enforcement would have let nothing follow.
   * - Connections older than the capture are adopted.
   * - Packets with a Service's address are left out, because they also show with the backend's.
   */
  readonly observes: boolean;
  /**
   * Most flows remembered here at once: those that the filter does not remember, because no policy
   * covers them.
   */
  readonly flowCapacity: number;
  readonly tell: TellFlow;
}

export class FrameJudge {
  readonly filter: Filter;
  places: Places;
  /** The frame that was judged last, and its packet. */
  readonly frame = new LinkFrame();
  packet: Packet;
  readonly fragments = new Fragments();
  /** The fragments that were held for the first fragment judged last. */
  released: readonly Uint8Array[] = [];
  readonly #tellOf: TellFlow;
  readonly #observes: boolean;
  /** Flows that the filter does not remember. Their notes are the reasons given for them. */
  readonly #flows: FlowTable;
  readonly #key: FlowKey;
  readonly #peeked = new Packet();
  #adoptedUntil: number | undefined;
  #isAudited = false;
  #datagram = '';

  constructor(filter: Filter, places: Places, { observes, flowCapacity, tell }: FrameJudgeOptions) {
    this.filter = filter;
    this.packet = filter.packet;
    this.places = places;
    this.#tellOf = tell;
    this.#observes = observes;
    this.#flows = new FlowTable(flowCapacity);
    this.#key = this.#flows.createKey();
  }

  /** The key of the datagram whose fragment was judged last (`datagramOf`). */
  get datagram(): string {
    return this.#datagram;
  }

  /** Whether only audited policies deny the packet judged last, so that it passes. */
  get isAudited(): boolean {
    return this.#isAudited;
  }

  /**
   * Judges a frame. Parameters are those of `LinkFrame.read` and `Filter.judge`. Returns a reason,
   * which allows if below FIRST_DENY, or one of the negative codes above.
   */
  judge(
    view: DataView,
    offset: number,
    captured: number,
    length: number,
    linkType: number,
    littleEndian: boolean,
    now: number,
  ): number {
    const { frame, filter } = this;
    this.#isAudited = false;
    if (this.released.length > 0) this.released = [];
    frame.read(view, offset, captured, length, linkType, littleEndian);
    if (!frame.isIp) return NOT_IP;
    if (this.#observes) this.#keepAdopting(now);
    const said = this.#flows.size === 0 ? -1 : this.#recall(view, now);
    this.packet = said >= 0 ? this.#peeked : filter.packet;
    if (said >= 0) return said;
    const reason = filter.judge(view, frame.payload, frame.captured, frame.length, now);
    if (filter.packet.isFragment) return this.#judgeFragment(view, reason, now);
    return this.#tell(reason, now);
  }

  /**
   * Forgets flows that were idle for their timeout, at most `limit` in the filter's table and
   * `limit` in the one here.
   */
  expire(now: number, limit: number): void {
    this.filter.flows.expire(now, limit);
    this.#flows.expire(now, limit);
  }

  /** How many flows are remembered here, because the filter does not remember them. */
  get rememberedFlows(): number {
    return this.#flows.size;
  }

  /**
   * Returns the reason given earlier for the packet's flow if it still applies; -1 if the packet
   * must be judged.
   */
  #recall(view: DataView, now: number): number {
    const { frame, filter } = this;
    const flows = this.#flows;
    const key = this.#key;
    const packet = this.#peeked;
    decode(packet, view, frame.payload, frame.captured, frame.length);
    if (packet.status !== OK || packet.isFragment || !key.set(packet)) return -1;
    const slot = flows.find(key, now);
    if (slot === NO_SLOT) return -1;
    const event = eventOf(packet);
    const said = flows.notes(slot);
    const isOver = event === EVENT_OPEN && canReopen(flows.state(slot));
    if (!isOver && flows.generation(slot) === filter.table.generation) {
      flows.advance(slot, flows.sideOf(slot, key), event, now);
      return said;
    }
    if (!isOver && said < FIRST_DENY) {
      // A policy of the newer table may cover it. The filter judges the seeded flow as it was
      // opened: it is allowed and known from now on, or revoked.
      flows.readOpening(slot, packet);
      filter.seed(packet, 'established', now);
    }
    flows.remove(slot);
    return -1;
  }

  /** Renews the adoption, which cannot be set for ever because the clock wraps. */
  #keepAdopting(now: number): void {
    if (this.#adoptedUntil !== undefined && ((this.#adoptedUntil - now) | 0) > ALWAYS / 2) return;
    this.#adoptedUntil = (now + ALWAYS) | 0;
    this.filter.adoption.adoptMidStream(this.#adoptedUntil);
  }

  #judgeFragment(view: DataView, reason: number, now: number): number {
    const { packet } = this.filter;
    this.#datagram = datagramOf(packet, view, this.frame.payload);
    if (!packet.isLaterFragment) {
      const said = this.#tell(reason, now);
      this.released = this.fragments.judged(this.#datagram, this.#isAudited ? ALLOWED_BY_POLICY : said, now);
      return said;
    }
    const first = this.fragments.reason(this.#datagram, now);
    if (first !== UNKNOWN_DATAGRAM) return first;
    // A fragment that may pass without ports needs no first fragment.
    return reason < FIRST_DENY ? reason : EARLY_FRAGMENT;
  }

  /** Reports the packet if it opens a flow or is denied. Returns the final reason, or SERVICE. */
  #tell(reason: number, now: number): number {
    if (!isTold(reason)) return reason;
    const { filter, places } = this;
    const { packet } = filter;
    if (this.#observes && places.concernsService(packet)) return SERVICE;
    const said = reason >= FIRST_DENY && places.isLocalNode(packet) ? LOCAL_NODE : reason;
    this.#isAudited = said >= FIRST_DENY && filter.isAudited;
    let reversed = false;
    if (said === ADOPTED) {
      reversed = filter.side === OTHER || answers(packet, eventOf(packet));
    } else if (said === REVOKED) {
      if (packet.quotesFlow) return said;
      reversed = filter.side === OTHER;
      // The filter itself remembers a flow that only audited policies deny, as one that passes.
    } else if (said !== ALLOWED_BY_POLICY && !this.#isAudited) {
      const isStopped = said >= FIRST_DENY && !this.#observes;
      if (!isStopped) reversed = this.#remember(said, now);
    }
    this.#tellOf(packet, said, filter.direction, this.#isAudited, reversed);
    return said;
  }

  /**
   * Remembers the packet's flow. Returns whether the packet goes towards the side that opened it.
   */
  #remember(reason: number, now: number): boolean {
    const { packet, table } = this.filter;
    const event = eventOf(packet);
    const reversed = answers(packet, event);
    const key = this.#key;
    if (!key.set(packet)) return false;
    const state = event === EVENT_OPEN ? openingState(packet.protocol) : settledState(packet.protocol);
    if (this.#flows.find(key, now) === NO_SLOT)
      this.#flows.insert(key, reversed ? OTHER : OPENER, state, table.generation, reason, now);
    return reversed;
  }
}

/** Whether to report the packet: it opens a flow or is denied. A malformed one names no flow. */
function isTold(reason: number): boolean {
  return reason === SAME_POD || opensOrIsDenied(reason);
}

/**
 * Whether the packet goes towards the side that opened its flow. If the packet does not show it,
 * the lower port is taken for the server's.
 */
function answers(packet: Packet, event: number): boolean {
  if (event === EVENT_ACCEPT || event === EVENT_REPLY) return true;
  return event !== EVENT_OPEN && hasPorts(packet.protocol) && packet.srcPort < packet.dstPort;
}

/**
 * The verdict on every captured frame. What stands between a capture and the filter of a node, whose packets the kernel has prepared:
 *
 *     frame -> IP packet? -> fragment of a datagram that was judged? -> filter -> denied, but between a pod and its own node? or about a Service?
 *
 * Every pod of the cluster is an endpoint of the table, so that both directions are judged wherever the capture is made. Connections that were opened before it
 * began are adopted where a direction allows them: no capture shows their beginning.
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

/** What `judge` gives back where it is no reason of filter/reasons.ts: no IP packet, */
export const NOT_IP = -1;
/** a packet to or from a Service's own address: it is judged where its backend shows, */
export const SERVICE = -2;
/** or a later fragment whose first one has not come. */
export const EARLY_FRAGMENT = -3;

/** Packets of connections that are older than the capture come whenever they like: this long, in ms, as far as an int32 clock goes. */
const ALWAYS = 0x3fffffff;

/** A flow was opened, or a packet denied, by audited policies alone where it is `audited`. `reversed` where the packet goes from the destination of its flow to the source. */
export type TellFlow = (packet: Packet, reason: number, direction: number, audited: boolean, reversed: boolean) => void;

export interface FrameJudgeOptions {
  /**
   * Does the traffic go on whatever is said about it? Then the rest of a flow that was denied is denied for the same reason, both ways, and told of once: had it been
   * stopped, there would be no rest. Connections that are older than the capture are adopted, and packets of Services' addresses are left out, because they show
   * with the backend's too.
   */
  readonly observes: boolean;
  /** Flows that the filter remembers nothing of, for no policy is about them, and that are remembered here, at once. */
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
  /** What was held for the first fragment that was judged last. */
  released: readonly Uint8Array[] = [];
  readonly #tellOf: TellFlow;
  readonly #observes: boolean;
  /** Flows that the filter remembers nothing of, with what was said about them as notes. */
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

  /** Of a fragment that was judged last, what it has in common with the rest of its datagram. */
  get datagram(): string {
    return this.#datagram;
  }

  /** Of what was judged last: do audited policies alone deny it, so that it passes? */
  get isAudited(): boolean {
    return this.#isAudited;
  }

  /** As `LinkFrame.read` and `Filter.judge`: gives back a reason code, of which those below FIRST_DENY allow, or one of the above. */
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

  /** Forgets flows that have been idle for their timeout, at most `limit` of the filter's and as many of those that the filter remembers nothing of. */
  expire(now: number, limit: number): void {
    this.filter.flows.expire(now, limit);
    this.#flows.expire(now, limit);
  }

  /** Flows that the filter remembers nothing of, and that are remembered here. */
  get rememberedFlows(): number {
    return this.#flows.size;
  }

  /** What was said about the flow of the packet, and still holds; -1 where it is to be judged. */
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
      // By the newer table a policy may be about it: as it was opened it is allowed, and known from now on, or revoked.
      flows.readOpening(slot, packet);
      filter.seed(packet, 'established', now);
    }
    flows.remove(slot);
    return -1;
  }

  /** The clock wraps: what is to hold for ever is renewed. */
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
    // What passes without ports needs no first fragment.
    return reason < FIRST_DENY ? reason : EARLY_FRAGMENT;
  }

  /** Tells of it where it is a flow's first packet or denied, and gives back the reason. */
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
      // What audited policies deny the filter remembers as a flow that passes.
    } else if (said !== ALLOWED_BY_POLICY && !this.#isAudited) {
      const isStopped = said >= FIRST_DENY && !this.#observes;
      if (!isStopped) reversed = this.#remember(said, now);
    }
    this.#tellOf(packet, said, filter.direction, this.#isAudited, reversed);
    return said;
  }

  /** Gives back whether the packet goes to who opened its flow. */
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

/** Is it the first packet of a flow, or one that is denied? Of what cannot be decoded there is nothing to tell. */
function isTold(reason: number): boolean {
  return reason === SAME_POD || opensOrIsDenied(reason);
}

/** Does a packet of a flow that nobody has seen the beginning of go to who opened it? A server has the lower port. */
function answers(packet: Packet, event: number): boolean {
  if (event === EVENT_ACCEPT || event === EVENT_REPLY) return true;
  return event !== EVENT_OPEN && hasPorts(packet.protocol) && packet.srcPort < packet.dstPort;
}

/**
 * Judges every packet: decodes it, looks up its flow, and if there is none asks the policies.
 *
 *     bytes -> decode -> malformed?                                         MALFORMED
 *                        later fragment, ICMP that has no flow?             by policy, leaves no flow
 *                        ICMP error quoting a packet of a flow?             RELATED, or as the flow
 *                        flow found?        judged by an older table?       judged again, in the opening direction
 *                                           denied?                         REVOKED
 *                                           else                            ESTABLISHED
 *                        no flow            opens one?                      by policy; allowed: the flow is inserted
 *                                           else                            MID_STREAM, or ADOPTED
 *
 * A packet that only audited policies deny gets the reason of that denial, and passes
 * (`isAudited`). Its flow is inserted, so that the rest of it is ESTABLISHED.
 *
 * One thread owns a filter with its flow table; rule tables are immutable and shared. Nothing here
 * allocates or throws.
 */
import type { FlowKey } from '../conntrack/flow-key.ts';
import type { FlowTable } from '../conntrack/flow-table.ts';
import { NO_SLOT, type Slot } from '../conntrack/slots.ts';
import {
  canReopen,
  EVENT_ACCEPT,
  EVENT_OPEN,
  EVENT_REPLY,
  EVENT_TRAFFIC,
  eventOf,
  nextState,
  OPENER,
  OTHER,
  openingState,
  opensFlow,
  settledState,
} from '../conntrack/states.ts';
import { decode } from '../packet/decode.ts';
import { OK, Packet } from '../packet/packet.ts';
import { ICMP, ICMPV6 } from '../packet/protocols.ts';
import { EGRESS, INGRESS, type RuleTable } from '../policy/rule-table.ts';
import { Adoption } from './adoption.ts';
import {
  AUDITED,
  DENIED_BY_INGRESS,
  DESTINATION_IS_ENDPOINT,
  ENFORCED,
  isDenied,
  isLess,
  REASON_BITS,
  reasonOf,
  rule,
  SOURCE_IS_ENDPOINT,
  TRACKED,
} from './decide.ts';
import { ADOPTED, ESTABLISHED, FIRST_DENY, MALFORMED, MID_STREAM, RELATED, REVOKED } from './reasons.ts';
import { copyFlow, copyQuoted, copyReversed, isTowardsQuotedSender } from './tuples.ts';

/**
 * What a flow remembers of the ruling on its opening direction. Bit 0: the opener is an endpoint.
 * Bit 1: the other side is one. Bit 2: ingress denied. Bit 3: only audited policies deny.
 */
const NOTES = SOURCE_IS_ENDPOINT | DESTINATION_IS_ENDPOINT | DENIED_BY_INGRESS | AUDITED;
const NOTE_DENIED_BY_INGRESS = DENIED_BY_INGRESS >> REASON_BITS;
const NOTE_AUDITED = AUDITED >> REASON_BITS;
/** A generation that no table has, so that the flow's next packet is judged again. */
const UNJUDGED = 0;

export class Filter {
  readonly flows: FlowTable;
  table: RuleTable;
  /** The packet that was judged last. */
  readonly packet = new Packet();
  readonly adoption: Adoption;

  #direction: number = INGRESS;
  #isAudited = false;
  #side: number = OPENER;
  /**
   * A flow in its opening direction, and the packet that an ICMP error quotes: not captured, but
   * judged or looked up.
   */
  readonly #opening = new Packet();
  readonly #quoted = new Packet();
  /** Keys of `packet`, and of the flow that is seeded or that an ICMP error is about. */
  readonly #key: FlowKey;
  readonly #otherKey: FlowKey;

  constructor(flows: FlowTable, table: RuleTable) {
    this.flows = flows;
    this.#key = flows.createKey();
    this.#otherKey = flows.createKey();
    this.table = table;
    this.adoption = new Adoption(table);
  }

  /**
   * Judges by this table from the next packet on. A flow that an older table judged is judged again
   * at its next packet.
   */
  useTable(table: RuleTable): void {
    this.adoption.replaced(this.table);
    this.table = table;
  }

  /**
   * The direction of the packet judged last, EGRESS (0) or INGRESS (1): the side that denied it, or
   * else EGRESS if the source is an endpoint of this node.
   */
  get direction(): number {
    return this.#direction;
  }

  /**
   * Whether only audited policies deny the packet judged last. It has the reason of that denial but
   * passes, and the flow that it opens is tracked as an allowed one.
   */
  get isAudited(): boolean {
    return this.#isAudited;
  }

  /**
   * The side that sent the packet judged last, OPENER or OTHER, if its reason is ESTABLISHED,
   * REVOKED or ADOPTED and it is not an ICMP error. After `judgeSeeded`: the side that is the
   * source of its `flow`.
   */
  get side(): number {
    return this.#side;
  }

  /**
   * Announces a packet of the batch that is judged next (conntrack/lookahead.ts). Takes the
   * arguments of `judge`. Overwrites `packet`.
   */
  announce(view: DataView, offset: number, length: number, totalLength: number): void {
    const { packet, flows } = this;
    decode(packet, view, offset, length, totalLength);
    if (packet.status !== OK) return;
    if (packet.quotesFlow) copyQuoted(packet, this.#quoted);
    flows.lookahead.announce(packet.quotesFlow ? this.#quoted : packet);
  }

  /**
   * Judges the IP packet of which `length` bytes were captured at `offset` of `view`. Returns a
   * reason code: below FIRST_DENY it allows; for the others see `isAudited`. `totalLength` is the
   * packet's real length, `now` the coarse clock (ms, an int32 that wraps).
   */
  judge(view: DataView, offset: number, length: number, totalLength: number, now: number): number {
    const packet = this.packet;
    this.#isAudited = false;
    decode(packet, view, offset, length, totalLength);
    if (packet.status !== OK) {
      this.#direction = INGRESS;
      return MALFORMED;
    }
    if (packet.quotesFlow) return this.#judgeError(now);
    if (packet.isLaterFragment || !this.#key.set(packet)) return this.#settle(rule(this.table, packet));
    const slot = this.flows.find(this.#key, now);
    return slot === NO_SLOT ? this.#judgeUnknown(now) : this.#judgeKnown(slot, now);
  }

  /**
   * Inserts a flow that the kernel tracks; `flow` has its family, protocol, addresses and ports in
   * the opening direction. Allowed or denied, the flow counts as judged by the current table, and
   * as one that has seen packets both ways.
   */
  seed(flow: Packet, state: 'established' | 'revoked', now: number): void {
    const key = this.#otherKey;
    if (!this.#setSeeded(flow, key)) return;
    const { flows } = this;
    const known = flows.find(key, now);
    const opening = this.#opening;
    const { protocol } = opening;
    const ruling = rule(this.table, opening);
    if (state === 'established' && (ruling & AUDITED) !== 0) {
      this.#seedAudited(key, known, now);
      return;
    }
    if (known !== NO_SLOT) flows.remove(known);
    const notes = notesOf(ruling);
    const slot = flows.insert(key, OPENER, settledState(protocol), this.table.generation, notes, now);
    // The caller may have judged the flow by an older table than this one.
    if (state === 'revoked' || isDenied(ruling)) flows.judged(slot, this.table.generation, true, notes, now);
  }

  /**
   * Keeps the flow's earlier judgement, if it has one: a flow that was reported is then not
   * reported again at its next packet. Gives the flow the state, and so the timeout, of one with
   * packets both ways.
   */
  #seedAudited(key: FlowKey, known: Slot, now: number): void {
    const { flows } = this;
    const state = settledState(this.#opening.protocol);
    if (known === NO_SLOT) {
      flows.insert(key, OPENER, state, UNJUDGED, 0, now);
      return;
    }
    const opener = flows.sideOf(known, key);
    const generation = flows.generation(known);
    const notes = flows.notes(known);
    flows.remove(known);
    flows.insert(key, opener, state, generation, notes, now);
  }

  /**
   * Judges a known flow as its next packet would, for flows whose packets are no longer seen here.
   * Returns whether only audited policies deny it now and did not before. `flow` is as for `seed`.
   */
  judgeSeeded(flow: Packet, now: number): boolean {
    const key = this.#otherKey;
    if (!this.#setSeeded(flow, key)) return false;
    const { flows } = this;
    const slot = flows.find(key, now);
    if (slot === NO_SLOT || flows.generation(slot) === this.table.generation) return false;
    if (!this.#judgeAgain(slot, now)) return false;
    this.#side = flows.sideOf(slot, key);
    this.#direction = (flows.notes(slot) & NOTE_DENIED_BY_INGRESS) !== 0 ? INGRESS : EGRESS;
    return true;
  }

  /**
   * Sets `#opening` to the flow as its opener sends it, and sets `key` from that. Returns false for
   * what cannot have a flow.
   */
  #setSeeded(flow: Packet, key: FlowKey): boolean {
    const opening = this.#opening;
    copyFlow(flow, opening);
    const { protocol, family } = opening;
    if (flow.icmpType >= 0) opening.icmpType = flow.icmpType;
    else if (protocol === ICMP && family === 4) opening.icmpType = 8;
    else if (protocol === ICMPV6 && family === 6) opening.icmpType = 128;
    const hasFlow = key.set(opening);
    opening.icmpType = -1;
    return hasFlow;
  }

  #judgeKnown(slot: Slot, now: number): number {
    const flows = this.flows;
    const side = flows.sideOf(slot, this.#key);
    this.#side = side;
    const event = eventOf(this.packet);
    if (event === EVENT_OPEN && (side === OTHER || flows.isRevoked(slot) || canReopen(flows.state(slot)))) {
      return this.#judgeReopening(slot, side, now);
    }
    if (flows.generation(slot) !== this.table.generation) this.#isAudited = this.#judgeAgain(slot, now);
    const notes = flows.notes(slot);
    if (flows.isRevoked(slot)) {
      flows.touch(slot, now);
      this.#direction = (notes & NOTE_DENIED_BY_INGRESS) !== 0 ? INGRESS : EGRESS;
      return REVOKED;
    }
    flows.advance(slot, side, event, now);
    if (this.#isAudited) {
      this.#direction = (notes & NOTE_DENIED_BY_INGRESS) !== 0 ? INGRESS : EGRESS;
      return REVOKED;
    }
    this.#direction = ((notes >> side) & 1) !== 0 ? EGRESS : INGRESS;
    return ESTABLISHED;
  }

  /**
   * Judges a SYN or INIT that arrives on a known flow and is not a retransmission by the opener. It
   * is never a reply, so the policies judge it in its own direction. If they deny it, the flow
   * stays as it was. If they allow it, it replaces a flow that is over or revoked. A live flow
   * stays, and its ends decide: they answer with a challenge ACK (RFC 5961 section 4), or open
   * simultaneously.
   */
  #judgeReopening(slot: Slot, side: number, now: number): number {
    const ruling = rule(this.table, this.packet);
    const reason = this.#settle(ruling);
    if (isDenied(ruling)) return reason;
    const flows = this.flows;
    if (flows.isRevoked(slot) || canReopen(flows.state(slot))) {
      flows.remove(slot);
      if ((ruling & TRACKED) !== 0) this.#insert(OPENER, openingState(this.packet.protocol), ruling, now);
    } else {
      flows.advance(slot, side, EVENT_OPEN, now);
    }
    return reason;
  }

  /**
   * Judges a flow, as it was opened, by a newer table. Returns whether only audited policies deny
   * it now and did not before.
   */
  #judgeAgain(slot: Slot, now: number): boolean {
    const flows = this.flows;
    flows.readOpening(slot, this.#opening);
    const ruling = rule(this.table, this.#opening);
    const before = flows.notes(slot);
    flows.judged(slot, this.table.generation, isDenied(ruling), notesOf(ruling), now);
    return (ruling & AUDITED) !== 0 && (before & NOTE_AUDITED) === 0;
  }

  #judgeUnknown(now: number): number {
    const packet = this.packet;
    const ruling = rule(this.table, packet);
    const reason = this.#settle(ruling);
    // If no pod is isolated, there is nothing to remember: no later packet depends on this one.
    if ((ruling & TRACKED) === 0) return reason;
    const event = eventOf(packet);
    if (!opensFlow(packet.protocol, event)) return this.#judgeMidStream(ruling, event, now);
    // A datagram does not show whether it opens a flow or is a reply.
    if (reason >= FIRST_DENY && event === EVENT_TRAFFIC && this.#isAdoptedReply(ruling, now)) return ADOPTED;
    if (isDenied(ruling)) return reason;
    if (event === EVENT_TRAFFIC && this.adoption.doubts(packet, now)) {
      const reverse = this.#ruleReversed();
      if (isDenied(reverse)) return this.#settle(reverse);
    }
    this.#insert(OPENER, openingState(packet.protocol), ruling, now);
    return reason;
  }

  /**
   * Judges a packet in the middle of an unknown connection, or a reply without a request. It opens
   * no flow, whatever the policies say. If it passes all the same, its flow is tracked from then
   * on, as opened by the side that the policies object to least.
   */
  #judgeMidStream(ruling: number, event: number, now: number): number {
    this.#direction = (ruling & SOURCE_IS_ENDPOINT) !== 0 ? EGRESS : INGRESS;
    const isAdopted = this.adoption.concerns(this.packet, now);
    this.#isAudited = !isAdopted && (ruling & ENFORCED) === 0;
    if (!isAdopted && !this.#isAudited) return MID_STREAM;
    const protocol = this.packet.protocol;
    // The sender of a SYN ACK or an echo reply did not open the flow.
    const answers = event === EVENT_ACCEPT || event === EVENT_REPLY;
    const before = answers ? openingState(protocol) : settledState(protocol);
    const reverse = this.#ruleReversed();
    const side = answers || isLess(reverse, ruling) ? OTHER : OPENER;
    const opening = side === OTHER ? reverse : ruling;
    if (isDenied(opening)) return MID_STREAM;
    this.#insert(side, nextState(before, side, event), opening, now);
    this.#side = side;
    if ((opening & AUDITED) !== 0) this.#isAudited = true;
    return this.#isAudited ? MID_STREAM : ADOPTED;
  }

  /**
   * Whether the datagram is a reply in an unknown flow that is to be adopted: the policies object
   * less to the other direction. If so, inserts the flow.
   */
  #isAdoptedReply(ruling: number, now: number): boolean {
    if (!this.adoption.concerns(this.packet, now)) return false;
    const reverse = this.#ruleReversed();
    if (!isLess(reverse, ruling)) return false;
    this.#isAudited = false;
    this.#direction = (ruling & SOURCE_IS_ENDPOINT) !== 0 ? EGRESS : INGRESS;
    this.#insert(OTHER, settledState(this.packet.protocol), reverse, now);
    this.#side = OTHER;
    return true;
  }

  #ruleReversed(): number {
    copyReversed(this.packet, this.#opening);
    return rule(this.table, this.#opening);
  }

  /**
   * Judges an ICMP error. If it goes to the sender of the packet that it quotes, that packet's flow
   * decides. Otherwise it is judged like any other packet.
   */
  #judgeError(now: number): number {
    const ruling = rule(this.table, this.packet);
    const reason = this.#settle(ruling);
    if (!isTowardsQuotedSender(this.packet)) return reason;
    const flows = this.flows;
    copyQuoted(this.packet, this.#quoted);
    const key = this.#otherKey;
    if (!key.set(this.#quoted)) return reason;
    const slot = flows.find(key, now);
    if (slot === NO_SLOT) return reason;
    this.#isAudited = false;
    if (flows.generation(slot) !== this.table.generation && this.#judgeAgain(slot, now)) {
      // The flow's own next packet reports that it is revoked.
      flows.judged(slot, UNJUDGED, false, 0, now);
    }
    if (flows.isRevoked(slot)) {
      this.#direction = (flows.notes(slot) & NOTE_DENIED_BY_INGRESS) !== 0 ? INGRESS : EGRESS;
      return REVOKED;
    }
    this.#direction = (ruling & SOURCE_IS_ENDPOINT) !== 0 ? EGRESS : INGRESS;
    return RELATED;
  }

  /** Inserts the flow of `packet`. */
  #insert(opener: number, state: number, ruling: number, now: number): void {
    this.flows.insert(this.#key, opener, state, this.table.generation, notesOf(ruling), now);
  }

  /**
   * Makes the ruling the verdict on `packet`: sets `isAudited` and `direction`, and returns the
   * reason.
   */
  #settle(ruling: number): number {
    const reason = reasonOf(ruling);
    this.#isAudited = (ruling & AUDITED) !== 0;
    if (reason >= FIRST_DENY) this.#direction = (ruling & DENIED_BY_INGRESS) !== 0 ? INGRESS : EGRESS;
    else this.#direction = (ruling & SOURCE_IS_ENDPOINT) !== 0 ? EGRESS : INGRESS;
    return reason;
  }
}

function notesOf(ruling: number): number {
  return (ruling & NOTES) >> REASON_BITS;
}

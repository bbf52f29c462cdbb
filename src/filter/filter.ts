/**
 * The verdict on every packet: decode, look up the flow, and if there is none judge by the policies.
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
 * One thread owns a filter with its flow table; rule tables are immutable and shared. Nothing here allocates or throws.
 */
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
import { DENIED_BY_INGRESS, reasonOf, rule, SOURCE_IS_ENDPOINT, TRACKED } from './decide.ts';
import { ADOPTED, ESTABLISHED, FIRST_DENY, MALFORMED, MID_STREAM, RELATED, REVOKED } from './reasons.ts';
import { copyFlow, copyQuoted, copyReversed, isTowardsQuotedSender } from './tuples.ts';

/** What a flow notes of the ruling in its opening direction: is the opener an endpoint (bit 0), is the other side (1), who denied (2). */
const NOTES_SHIFT = 8;
const NOTES = 7;
const NOTE_DENIED_BY_INGRESS = DENIED_BY_INGRESS >> NOTES_SHIFT;

export class Filter {
  readonly flows: FlowTable;
  table: RuleTable;
  /** The packet that was judged last. */
  readonly packet = new Packet();
  readonly adoption: Adoption;

  #direction: number = INGRESS;
  /** A flow in its opening direction, and the packet that an ICMP error quotes: not what was captured, but judged or looked up too. */
  readonly #opening = new Packet();
  readonly #quoted = new Packet();

  constructor(flows: FlowTable, table: RuleTable) {
    this.flows = flows;
    this.table = table;
    this.adoption = new Adoption(table);
  }

  /** Judges by this table from the next packet on. Flows that the table before it has judged are judged again when they move. */
  useTable(table: RuleTable): void {
    this.adoption.replaced(this.table);
    this.table = table;
  }

  /**
   * Of the packet judged last, EGRESS (0) or INGRESS (1): the side that denied it, or else EGRESS where the source is an endpoint of
   * this node.
   */
  get direction(): number {
    return this.#direction;
  }

  /** Announces a packet of the batch that is judged next (conntrack/lookahead.ts); the arguments are those of `judge`. Overwrites `packet`. */
  announce(view: DataView, offset: number, length: number, totalLength: number): void {
    const { packet, flows } = this;
    decode(packet, view, offset, length, totalLength);
    if (packet.status !== OK) return;
    if (packet.quotesFlow) copyQuoted(packet, this.#quoted);
    flows.lookahead.announce(packet.quotesFlow ? this.#quoted : packet);
  }

  /**
   * Judges the IP packet of which `length` bytes were captured at `offset` of `view`; `totalLength` is its real length, `now` the coarse
   * clock (ms, int32 that wraps). Gives back a reason code: below FIRST_DENY it allows.
   */
  judge(view: DataView, offset: number, length: number, totalLength: number, now: number): number {
    const packet = this.packet;
    decode(packet, view, offset, length, totalLength);
    if (packet.status !== OK) {
      this.#direction = INGRESS;
      return MALFORMED;
    }
    if (packet.quotesFlow) return this.#judgeError(now);
    const isMessage = packet.icmpType >= 0 && packet.srcPort < 0;
    if (packet.isLaterFragment || isMessage) return this.#settle(rule(this.table, packet));
    const slot = this.flows.find(packet, now);
    return slot === NO_SLOT ? this.#judgeUnknown(now) : this.#judgeKnown(slot, now);
  }

  /**
   * Enters a flow that the kernel tracks: `flow` holds family, protocol, addresses and ports in its opening direction. Allowed or denied,
   * it counts as judged by the current table, and as going both ways.
   */
  seed(flow: Packet, state: 'established' | 'revoked', now: number): void {
    const opening = this.#opening;
    copyFlow(flow, opening);
    const { protocol, family } = opening;
    if (flow.icmpType >= 0) opening.icmpType = flow.icmpType;
    else if (protocol === ICMP && family === 4) opening.icmpType = 8;
    else if (protocol === ICMPV6 && family === 6) opening.icmpType = 128;
    const flows = this.flows;
    const known = flows.find(opening, now);
    opening.icmpType = -1;
    if (known !== NO_SLOT) flows.remove(known);
    const ruling = rule(this.table, opening);
    const notes = notesOf(ruling);
    const slot = flows.insert(OPENER, settledState(protocol), this.table.generation, notes, now);
    // Who read the flow may have judged it by an older table than this one.
    if (state === 'revoked' || reasonOf(ruling) >= FIRST_DENY)
      flows.judged(slot, this.table.generation, true, notes, now);
  }

  #judgeKnown(slot: Slot, now: number): number {
    const flows = this.flows;
    const side = flows.side;
    const event = eventOf(this.packet);
    if (event === EVENT_OPEN && (side === OTHER || flows.isRevoked(slot) || canReopen(flows.state(slot)))) {
      return this.#judgeReopening(slot, side, now);
    }
    if (flows.generation(slot) !== this.table.generation) this.#judgeAgain(slot, now);
    const notes = flows.notes(slot);
    if (flows.isRevoked(slot)) {
      flows.touch(slot, now);
      this.#direction = (notes & NOTE_DENIED_BY_INGRESS) !== 0 ? INGRESS : EGRESS;
      return REVOKED;
    }
    flows.advance(slot, side, event, now);
    this.#direction = ((notes >> side) & 1) !== 0 ? EGRESS : INGRESS;
    return ESTABLISHED;
  }

  /**
   * A SYN or INIT on a known flow that is not the opener's retransmission. It is never a reply: the policies judge it in its own
   * direction. If they deny it, the flow is as it was; if they allow it, it takes the place of a flow that is over or revoked, and leaves
   * a live one to the two ends, which answer it with a challenge ACK (RFC 5961 section 4) or open at once.
   */
  #judgeReopening(slot: Slot, side: number, now: number): number {
    const ruling = rule(this.table, this.packet);
    const reason = this.#settle(ruling);
    if (reason >= FIRST_DENY) return reason;
    const flows = this.flows;
    if (flows.isRevoked(slot) || canReopen(flows.state(slot))) {
      flows.remove(slot);
      if ((ruling & TRACKED) !== 0) this.#insert(OPENER, openingState(this.packet.protocol), ruling, now);
    } else {
      flows.advance(slot, side, EVENT_OPEN, now);
    }
    return reason;
  }

  /** A newer table has come: is the flow, as it was opened, still allowed? */
  #judgeAgain(slot: Slot, now: number): void {
    this.flows.readOpening(slot, this.#opening);
    const ruling = rule(this.table, this.#opening);
    this.flows.judged(slot, this.table.generation, reasonOf(ruling) >= FIRST_DENY, notesOf(ruling), now);
  }

  #judgeUnknown(now: number): number {
    const packet = this.packet;
    const ruling = rule(this.table, packet);
    const reason = this.#settle(ruling);
    // Where no endpoint is isolated, nothing needs to be remembered, and no reply needs to be known.
    if ((ruling & TRACKED) === 0) return reason;
    const event = eventOf(packet);
    if (!opensFlow(packet.protocol, event)) return this.#judgeMidStream(ruling, event, now);
    if (reason < FIRST_DENY) this.#insert(OPENER, openingState(packet.protocol), ruling, now);
    // A datagram does not show whether it opens a flow or answers in one.
    else if (event === EVENT_TRAFFIC && this.#isAdoptedReply(ruling, settledState(packet.protocol), now))
      return ADOPTED;
    return reason;
  }

  /** Traffic of a connection that is not known, or a reply to nothing: it opens no flow, whatever the policies say. */
  #judgeMidStream(ruling: number, event: number, now: number): number {
    const protocol = this.packet.protocol;
    // Who answers a SYN, or an echo request, has not opened the flow.
    const answers = event === EVENT_ACCEPT || event === EVENT_REPLY;
    const before = answers ? openingState(protocol) : settledState(protocol);
    const isOpener = !answers && reasonOf(ruling) < FIRST_DENY;
    if (isOpener && this.adoption.concerns(this.packet, now)) {
      this.#settle(ruling);
      this.#insert(OPENER, nextState(before, OPENER, event), ruling, now);
      return ADOPTED;
    }
    if (!isOpener && this.#isAdoptedReply(ruling, nextState(before, OTHER, event), now)) return ADOPTED;
    this.#direction = (ruling & SOURCE_IS_ENDPOINT) !== 0 ? EGRESS : INGRESS;
    return MID_STREAM;
  }

  /** Answers the packet in an unknown flow that is to be adopted, and that may be opened from the other side? The flow is then known, in `state`. */
  #isAdoptedReply(ruling: number, state: number, now: number): boolean {
    if (!this.adoption.concerns(this.packet, now)) return false;
    copyReversed(this.packet, this.#opening);
    const reverse = rule(this.table, this.#opening);
    if (reasonOf(reverse) >= FIRST_DENY) return false;
    this.#direction = (ruling & SOURCE_IS_ENDPOINT) !== 0 ? EGRESS : INGRESS;
    this.#insert(OTHER, state, reverse, now);
    return true;
  }

  /** An ICMP error passes with the flow that it is about, towards the sender of what it quotes. Otherwise it is judged as any packet. */
  #judgeError(now: number): number {
    const ruling = rule(this.table, this.packet);
    const reason = this.#settle(ruling);
    if (!isTowardsQuotedSender(this.packet)) return reason;
    const flows = this.flows;
    copyQuoted(this.packet, this.#quoted);
    const slot = flows.find(this.#quoted, now);
    if (slot === NO_SLOT) return reason;
    if (flows.generation(slot) !== this.table.generation) this.#judgeAgain(slot, now);
    if (flows.isRevoked(slot)) {
      this.#direction = (flows.notes(slot) & NOTE_DENIED_BY_INGRESS) !== 0 ? INGRESS : EGRESS;
      return REVOKED;
    }
    this.#direction = (ruling & SOURCE_IS_ENDPOINT) !== 0 ? EGRESS : INGRESS;
    return RELATED;
  }

  #insert(opener: number, state: number, ruling: number, now: number): void {
    this.flows.insert(opener, state, this.table.generation, notesOf(ruling), now);
  }

  /** The ruling is the verdict: its reason, and its direction. */
  #settle(ruling: number): number {
    const reason = reasonOf(ruling);
    if (reason >= FIRST_DENY) this.#direction = (ruling & DENIED_BY_INGRESS) !== 0 ? INGRESS : EGRESS;
    else this.#direction = (ruling & SOURCE_IS_ENDPOINT) !== 0 ? EGRESS : INGRESS;
    return reason;
  }
}

function notesOf(ruling: number): number {
  return (ruling >> NOTES_SHIFT) & NOTES;
}

/**
 * Decides which packets of unknown flows may belong to a flow that was never judged: it was opened
 * before its pods were isolated, or before podfence started.
 */
import { looksLikeReply } from '../packet/client-ports.ts';
import type { Packet } from '../packet/packet.ts';
import { SCTP, TCP } from '../packet/protocols.ts';
import type { RuleTable } from '../policy/rule-table.ts';
import { rule, TRACKED } from './decide.ts';

/**
 * What to adopt while the set of steered addresses grows: nothing; flows neither of whose ends the
 * previous table isolated, because any other flow would be known; or everything, if nothing was
 * judged before. `no-replies` adopts nothing and doubts what looks like a reply: the kernel tracks
 * no connection while no rule needs it to (nf_ct_netns_put), so after somebody has flushed all
 * rules it takes the reply to a datagram of before for the first packet of a flow.
 */
export type GrowthAdoption = 'nothing' | 'newly-steered' | 'all' | 'no-replies';

export class Adoption {
  /** Whether there may be anything to adopt: the only check that other packets pay for. */
  #active = false;
  #midStreamUntil = 0;
  #isMidStream = false;
  #growth: GrowthAdoption = 'nothing';
  #growthUntil = 0;
  /**
   * The previous table. Its buffer may be reused long after all workers have left it, so it is read
   * only while a set grows.
   */
  #before: RuleTable;

  constructor(table: RuleTable) {
    this.#before = table;
  }

  /** Remembers the table that was just replaced. */
  replaced(table: RuleTable): void {
    this.#before = table;
  }

  /** Adopts TCP and SCTP connections mid-stream until `until`, on the coarse clock. */
  adoptMidStream(until: number): void {
    this.#isMidStream = true;
    this.#midStreamUntil = until;
    this.#active = true;
  }

  /** Adopts flows of any protocol, as `what` says, until `until` or the next call. */
  adoptWhileGrowing(what: GrowthAdoption, until: number): void {
    this.#growth = what;
    this.#growthUntil = until;
    this.#active = this.#isMidStream || what !== 'nothing';
  }

  /** Whether this datagram of an unknown flow may reply to one that the kernel did not track. */
  doubts(packet: Packet, now: number): boolean {
    if (!this.#active || this.#growth !== 'no-replies' || ((now - this.#growthUntil) | 0) >= 0) return false;
    return looksLikeReply(packet);
  }

  /** Whether this packet of an unknown flow may belong to a flow that is to be adopted. */
  concerns(packet: Packet, now: number): boolean {
    if (!this.#active) return false;
    if (this.#growth !== 'nothing' && ((now - this.#growthUntil) | 0) >= 0) this.#growth = 'nothing';
    if (this.#isMidStream && ((now - this.#midStreamUntil) | 0) >= 0) this.#isMidStream = false;
    this.#active = this.#isMidStream || this.#growth !== 'nothing';
    if (this.#growth === 'all') return true;
    if (this.#growth === 'newly-steered' && (rule(this.#before, packet) & TRACKED) === 0) return true;
    return this.#isMidStream && (packet.protocol === TCP || packet.protocol === SCTP);
  }
}

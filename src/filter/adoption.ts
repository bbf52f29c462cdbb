/**
 * Which packets of unknown flows may belong to one that nobody had to judge before: it was opened when its pods were not isolated, or
 * before podfence came.
 */
import type { Packet } from '../packet/packet.ts';
import { SCTP, TCP } from '../packet/protocols.ts';
import type { RuleTable } from '../policy/rule-table.ts';
import { rule, TRACKED } from './decide.ts';

/**
 * While the set of steered addresses grows: nothing; flows of which the table before this one isolated no end, as any other would be known;
 * or all, where nothing was judged before.
 */
export type GrowthAdoption = 'nothing' | 'newly-steered' | 'all';

export class Adoption {
  /** Whether there may be anything to adopt: all that a packet pays for otherwise. */
  #active = false;
  #midStreamUntil = 0;
  #isMidStream = false;
  #growth: GrowthAdoption = 'nothing';
  #growthUntil = 0;
  /** What was judged by before. Its buffer may be written anew when all workers have long left it: it is read only while a set grows. */
  #before: RuleTable;

  constructor(table: RuleTable) {
    this.#before = table;
  }

  /** The table that from now on is not the current one any more. */
  replaced(table: RuleTable): void {
    this.#before = table;
  }

  /** Segments of TCP and SCTP may be in the middle of a connection until then, on the coarse clock. */
  adoptMidStream(until: number): void {
    this.#isMidStream = true;
    this.#midStreamUntil = until;
    this.#active = true;
  }

  /** Packets of any protocol may be on their way in such a flow until then, or until this is called again. */
  adoptWhileGrowing(what: GrowthAdoption, until: number): void {
    this.#growth = what;
    this.#growthUntil = until;
    this.#active = this.#isMidStream || what !== 'nothing';
  }

  /** May this packet, whose flow is unknown, belong to a flow that is to be adopted? */
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

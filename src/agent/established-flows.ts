/**
 * Flows that the workers do not know yet. The kernel carries offloaded flows without asking, and a
 * pod that becomes isolated has connections that no worker judged. They are read from the kernel's
 * connection table and judged in the direction in which they were opened.
 */
import type { KernelFlow } from '../dataplane/ctnetlink/kernel-flow.ts';
import {
  eachKernelFlow,
  type KernelFlowKey,
  type KernelFlowSelection,
  kernelFlowCount,
  keyOf,
  setMarks,
} from '../dataplane/ctnetlink/kernel-flows.ts';
import { AUDITED, isDenied, isLess, reasonOf, rule } from '../filter/decide.ts';
import { ALLOWED_BY_POLICY } from '../filter/reasons.ts';
import { copyFlow, copyReversed } from '../filter/tuples.ts';
import { SEED_WORDS } from '../judging/protocol.ts';
import { looksLikeReply, looksLikeRequest } from '../packet/client-ports.ts';
import { Packet } from '../packet/packet.ts';
import type { Concerned } from '../policy/concerned.ts';
import { EGRESS, INGRESS, type RuleTable } from '../policy/rule-table.ts';

/**
 * Up to this many addresses, the kernel is queried twice for each; beyond it, its whole table is
 * read.
 */
const FEW_ADDRESSES = 4;
/**
 * A table with fewer entries is read whole: one more pass over its empty buckets (13 ms for the
 * default of 262,144) costs more than reading these entries.
 */
const SMALL_TABLE = 2000;

/** One reading of the kernel's connection table. */
export interface Reading {
  readonly table: RuleTable;
  /**
   * The table that was in force before; undefined if unknown. A flow that audited policies alone
   * deny under both tables was reported before and is skipped.
   */
  readonly before?: RuleTable | undefined;
  /** Whose flows are judged. */
  readonly concerned: Concerned;
  /** Sends flows to the workers, in the layout of a seed command. */
  readonly seed: (flows: Int32Array) => Promise<void>;
}

/**
 * What happens to allowed flows: they get this bit in their mark and the kernel carries them, the
 * workers learn them (`known`), or nothing happens (`left`).
 */
export type Allowed = { readonly bit: number } | 'known' | 'left';

/**
 * Revokes flows with the judged bit that `table` denies. The workers learn them as revoked before
 * they lose the mark, so that no packet in between finds an unknown flow. A flow that audited
 * policies alone deny loses its mark too: its next packet is judged and reported, and the kernel
 * carries it again. Other flows are not touched. Returns how many flows were judged, and how many
 * of them revoked.
 */
export async function revokeJudged(
  reading: Reading,
  judgedBit: number,
): Promise<{ readonly judged: number; readonly revoked: number }> {
  const seeds = new SeedList();
  const unmarked: KernelFlowKey[] = [];
  let judged = 0;
  let revoked = 0;
  const visit = (flow: KernelFlow, packet: Packet, ruling: number) => {
    judged++;
    const denied = isDenied(ruling);
    if (!denied && ((ruling & AUDITED) === 0 || wasAudited(reading, packet))) return;
    if (denied) revoked++;
    seeds.add(packet, denied);
    unmarked.push(keyOf(flow));
  };
  await eachConcernedFlow(reading, { mask: judgedBit, value: judgedBit }, visit);
  if (unmarked.length > 0) {
    await reading.seed(seeds.words());
    await setMarks(unmarked, judgedBit, 0);
  }
  return { judged, revoked };
}

/**
 * Judges flows that the kernel carried unjudged because no policy selected their pods. The workers
 * learn flows that `table` denies as revoked, and flows that audited policies alone deny as flows
 * to report. `allowed` says what happens to the flows that it allows. Closed connections are
 * skipped.
 * @param rejudge whether to judge flows with the judged bit too; they lose the bit if they are
 * denied
 * @returns how many flows of the concerned addresses the kernel tracks, skipped ones included
 */
export async function seedUnjudged(reading: Reading, allowed: Allowed, rejudge = false): Promise<number> {
  const { table } = reading;
  const bit = typeof allowed === 'object' ? allowed.bit : 0;
  const seeds = new SeedList();
  const marked: KernelFlowKey[] = [];
  const unmarked: KernelFlowKey[] = [];
  let tracked = 0;
  const visit = (flow: KernelFlow, packet: Packet, ruling: number) => {
    tracked++;
    const isJudged = (flow.mark & bit) !== 0;
    if (flow.isOver || (isJudged && !rejudge) || !isIsolated(table, packet)) return;
    const denied = isDenied(ruling);
    if (denied || (ruling & AUDITED) !== 0) {
      if (denied || !wasAudited(reading, packet)) seeds.add(packet, denied);
      // Clear the mark even if the dump shows none: a packet that was judged before the workers
      // learned of this denial may be setting it now.
      if (denied && rejudge) unmarked.push(keyOf(flow));
    } else if (allowed === 'known') seeds.add(packet, false);
    else if (allowed !== 'left' && !isJudged) marked.push(keyOf(flow));
  };
  await eachConcernedFlow(reading, {}, visit);
  await setMarks(marked, bit, bit);
  if (seeds.length > 0) await reading.seed(seeds.words());
  await setMarks(unmarked, bit, 0);
  return tracked;
}

function wasAudited({ before }: Reading, packet: Packet): boolean {
  return before !== undefined && (rule(before, packet) & AUDITED) !== 0;
}

/**
 * Calls `visit` with each flow of the concerned addresses, the packet that opens it and the ruling
 * of `table` on that packet. Flow and packet objects are reused. A flow can come twice if the
 * kernel's table changes meanwhile.
 */
async function eachConcernedFlow(
  { table, concerned }: Reading,
  selection: KernelFlowSelection,
  visit: (flow: KernelFlow, packet: Packet, ruling: number) => void,
): Promise<void> {
  if (concerned.isEmpty) return;
  const packet = new Packet();
  const visitJudged = (flow: KernelFlow) => visit(flow, packet, judgeOpening(table, flow.isPickedUp, packet));
  const visitConcerned = (flow: KernelFlow) => {
    flow.opening(packet);
    if (isConcerned(concerned, table, packet)) visitJudged(flow);
  };
  const addresses = kernelFlowCount() < SMALL_TABLE ? undefined : concerned.addresses(FEW_ADDRESSES);
  if (addresses === undefined) return eachKernelFlow(visitConcerned, selection);
  // The kernel cannot filter by IPv6 address, so one reading serves all of them.
  if (addresses.some((address) => address.length > 1))
    await eachKernelFlow(visitConcerned, { ...selection, family: 6 });
  for (const address of addresses) {
    if (address.length > 1) continue;
    for (const role of ['opener', 'other'] as const) {
      const visitOnce = (flow: KernelFlow) => {
        if (role === 'other' && addresses.some((each) => flow.hasEnd('opener', each))) return;
        flow.opening(packet);
        visitJudged(flow);
      };
      await eachKernelFlow(visitOnce, { ...selection, end: { role, address } });
    }
  }
}

const reversed = new Packet();

/**
 * Returns the ruling on the packet that opens a flow as the kernel has it, and reverses `packet` if
 * the other side opened the flow.
 *
 * For a connection that the kernel picked up mid-stream, it takes the first sender after that for
 * the opener. The ports show who opened it if only one of them is a client's. Otherwise the other
 * side is the opener if a policy allows that. It is not enough that no policy denies it: the
 * reverse of a flow that ingress policies alone deny is never denied, so no such flow would ever be
 * revoked.
 */
function judgeOpening(table: RuleTable, isPickedUp: boolean, packet: Packet): number {
  const ruling = rule(table, packet);
  if (!isPickedUp) return ruling;
  copyReversed(packet, reversed);
  reversed.status = packet.status;
  const other = rule(table, reversed);
  if (!isReverse(packet, ruling, other)) return ruling;
  copyFlow(reversed, packet);
  return other;
}

function isReverse(packet: Packet, ruling: number, other: number): boolean {
  if (looksLikeReply(packet)) return true;
  if (looksLikeRequest(packet)) return false;
  return reasonOf(other) === ALLOWED_BY_POLICY && isLess(other, ruling);
}

function isConcerned(concerned: Concerned, table: RuleTable, p: Packet): boolean {
  if (p.family === 4) {
    return (
      concerned.includes4(p.src0, table.identityOf(table.lookup4(p.src0))) ||
      concerned.includes4(p.dst0, table.identityOf(table.lookup4(p.dst0)))
    );
  }
  const source = table.identityOf(table.lookup6(p.src0, p.src1, p.src2, p.src3));
  const destination = table.identityOf(table.lookup6(p.dst0, p.dst1, p.dst2, p.dst3));
  return (
    concerned.includes6(p.src0, p.src1, p.src2, p.src3, source) ||
    concerned.includes6(p.dst0, p.dst1, p.dst2, p.dst3, destination)
  );
}

/** Whether an end is isolated in any direction. */
function isIsolated(table: RuleTable, p: Packet): boolean {
  const source = p.family === 4 ? table.lookup4(p.src0) : table.lookup6(p.src0, p.src1, p.src2, p.src3);
  const destination = p.family === 4 ? table.lookup4(p.dst0) : table.lookup6(p.dst0, p.dst1, p.dst2, p.dst3);
  const isolated = (slot: number) => table.isIsolated(slot, EGRESS) || table.isIsolated(slot, INGRESS);
  return isolated(source) || isolated(destination);
}

/** Flows in the layout of a seed command. */
class SeedList {
  length = 0;
  #words = new Int32Array(64 * SEED_WORDS);

  add(p: Packet, revoked: boolean): void {
    const at = this.length * SEED_WORDS;
    if (at + SEED_WORDS > this.#words.length) {
      const grown = new Int32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    const addresses = [p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3];
    this.#words.set([p.family, p.protocol, ...addresses, p.srcPort, p.dstPort, p.icmpType, revoked ? 1 : 0], at);
    this.length++;
  }

  words(): Int32Array {
    return this.#words.slice(0, this.length * SEED_WORDS);
  }
}

/**
 * Flows that are older than what the workers know: the kernel carries offloaded flows without asking, and a pod that becomes isolated has connections that
 * nobody judged. They are read from the kernel's connection table and judged in the direction in which they were opened.
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
import { Packet } from '../packet/packet.ts';
import type { Concerned } from '../policy/concerned.ts';
import { EGRESS, INGRESS, type RuleTable } from '../policy/rule-table.ts';

/** Up to so many addresses the kernel is asked for by each, twice; for more it tells all of its table. */
const FEW_ADDRESSES = 4;
/** Of a table with fewer entries the kernel tells all, too: to go through its empty places once more (13 ms for the default of 262,144) costs more than these entries. */
const SMALL_TABLE = 2000;
/** From here on are the ports that Linux chooses for who opens a connection (net.ipv4.ip_local_port_range); few servers listen there. */
const FIRST_EPHEMERAL = 32_768;

/** What a reading of the kernel's table is about. */
export interface Reading {
  readonly table: RuleTable;
  /** The table that was in force before; undefined where that is not known. What audited policies alone deny by both was told of before, and is left alone. */
  readonly before?: RuleTable | undefined;
  /** Whose flows are looked at. */
  readonly concerned: Concerned;
  /** Hands flows to the workers, in the layout of a seed command. */
  readonly seed: (flows: Int32Array) => Promise<void>;
}

/** What becomes of flows that are allowed: the kernel carries them by this bit in their mark, or the workers know them, or nobody needs to. */
export type Allowed = { readonly bit: number } | 'known' | 'left';

/**
 * Takes their allowance away from flows with the judged bit that `table` denies: the workers know them as revoked first, then the mark goes, so that no packet
 * between the two finds a flow that nobody remembers. What audited policies alone deny loses its mark too, so that its next packet is judged, told of, and carried
 * on by the kernel again. Other flows are not touched. Gives back how many were judged, and how many of them revoked.
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
 * Judges flows that the kernel carried unjudged because no policy selected their pods. Those that `table` denies become known to the workers as
 * revoked, those that audited policies alone deny as flows to tell of; those that it allows, however many they are, as `allowed` says. Connections that are over are left alone.
 * @param rejudge whether those with the judged bit are judged, too, and lose it where they are denied
 * @returns how many of those the kernel tracks, unjudged or over
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
      // Also where it has no mark yet: a packet that was judged before the workers know of this may be setting it.
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
 * Gives the flows of the concerned, with the packet that opens each and what the table says about that; flow and packet are reused. One can come twice when the
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
  // The kernel does not find IPv6 addresses by themselves: one reading serves all of them.
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
 * What the table says about the packet that opens a flow as the kernel has it; it is turned round where the flow was opened from the other side. A connection that the kernel met in its middle it takes for one that was opened by who
 * sent first after that. There the ports tell, where only one of them is a client's; else it is the other side that opened it if a policy allows that. That nobody
 * forbids it is not enough: of what ingress policies alone deny the reverse is never forbidden, and nothing could be cut.
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

function isReverse({ srcPort, dstPort }: Packet, ruling: number, other: number): boolean {
  const isFromClient = srcPort >= FIRST_EPHEMERAL;
  const isToClient = dstPort >= FIRST_EPHEMERAL;
  if (isFromClient !== isToClient) return isToClient;
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

/** Is an end isolated, in whatever direction? */
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

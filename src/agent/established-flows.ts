/**
 * Flows that are older than what the workers know: the kernel carries offloaded flows without asking, and a pod that becomes isolated has connections that
 * nobody judged. They are read from the kernel's connection table and judged in the direction in which they were opened.
 */
import type { KernelFlow } from '../dataplane/ctnetlink/kernel-flow.ts';
import {
  eachKernelFlow,
  type KernelFlowKey,
  type KernelFlowSelection,
  keyOf,
  setMarks,
} from '../dataplane/ctnetlink/kernel-flows.ts';
import { SEED_WORDS } from '../dataplane/nfqueue/protocol.ts';
import { AUDITED, isDenied, rule } from '../filter/decide.ts';
import { Packet } from '../packet/packet.ts';
import type { Concerned } from '../policy/concerned.ts';
import { EGRESS, INGRESS, type RuleTable } from '../policy/rule-table.ts';

type Seed = (flows: Int32Array) => Promise<void>;

/** Up to so many addresses the kernel is asked for by each, twice; for more it tells all of its table. */
const FEW_ADDRESSES = 4;

/**
 * Takes their allowance away from flows with the judged bit that `table` denies: the workers know them as revoked first, then the mark goes, so that no packet
 * between the two finds a flow that nobody remembers. What audited policies alone deny loses its mark too, so that its next packet is judged, told of, and carried
 * on by the kernel again. Other flows are not touched. Gives back how many were judged, and how many of them revoked.
 * @param concerned whose flows are looked at
 */
export async function revokeJudged(
  table: RuleTable,
  judgedBit: number,
  concerned: Concerned,
  seed: Seed,
): Promise<{ readonly judged: number; readonly revoked: number }> {
  const seeds = new SeedList();
  const unmarked: KernelFlowKey[] = [];
  let judged = 0;
  let revoked = 0;
  const visit = (flow: KernelFlow, packet: Packet) => {
    judged++;
    const ruling = rule(table, packet);
    const denied = isDenied(ruling);
    if (!denied && (ruling & AUDITED) === 0) return;
    if (denied) revoked++;
    seeds.add(packet, denied);
    unmarked.push(keyOf(flow));
  };
  await eachConcernedFlow(table, concerned, { mask: judgedBit, value: judgedBit }, visit);
  if (unmarked.length > 0) {
    await seed(seeds.words());
    await setMarks(unmarked, judgedBit, 0);
  }
  return { judged, revoked };
}

/**
 * Judges flows that the kernel carried unjudged because no policy selected their pods. Those that `table` denies become known to the workers as
 * revoked, those that audited policies alone deny as flows to tell of. Those that it allows are offloaded by their mark, however many they are; without offload the workers get to know them as established.
 * Connections that are over are left alone.
 * @param offloadedBit the judged bit; 0 without offload
 * @param concerned whose flows are looked at
 * @returns how many of those the kernel tracks, unjudged or over
 */
export async function seedUnjudged(
  table: RuleTable,
  offloadedBit: number,
  concerned: Concerned,
  seed: Seed,
): Promise<number> {
  const seeds = new SeedList();
  const allowed: KernelFlowKey[] = [];
  let tracked = 0;
  const visit = (flow: KernelFlow, packet: Packet) => {
    tracked++;
    if (flow.isOver || (flow.mark & offloadedBit) !== 0 || !isIsolated(table, packet)) return;
    const ruling = rule(table, packet);
    const denied = isDenied(ruling);
    if (denied || (ruling & AUDITED) !== 0 || offloadedBit === 0) seeds.add(packet, denied);
    else allowed.push(keyOf(flow));
  };
  await eachConcernedFlow(table, concerned, {}, visit);
  await setMarks(allowed, offloadedBit, offloadedBit);
  if (seeds.length > 0) await seed(seeds.words());
  return tracked;
}

/** Gives the flows of the concerned, with the packet that opens each; both are reused. One can come twice when the kernel's table changes meanwhile. */
async function eachConcernedFlow(
  table: RuleTable,
  concerned: Concerned,
  selection: KernelFlowSelection,
  visit: (flow: KernelFlow, packet: Packet) => void,
): Promise<void> {
  if (concerned.isEmpty) return;
  const packet = new Packet();
  const visitConcerned = (flow: KernelFlow) => {
    flow.opening(packet);
    if (isConcerned(concerned, table, packet)) visit(flow, packet);
  };
  const addresses = concerned.addresses(FEW_ADDRESSES);
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
        visit(flow, packet);
      };
      await eachKernelFlow(visitOnce, { ...selection, end: { role, address } });
    }
  }
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

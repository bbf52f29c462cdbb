/**
 * Flows that are older than what the workers know: the kernel carries offloaded flows without asking, and a pod that becomes isolated has connections that
 * nobody judged. They are read from the kernel's connection table and judged in the direction in which they were opened.
 */
import { eachKernelFlow, type KernelFlowKey, keyOf, setMarks } from '../dataplane/ctnetlink/kernel-flows.ts';
import { SEED_WORDS } from '../dataplane/nfqueue/protocol.ts';
import { decide } from '../filter/decide.ts';
import { FIRST_DENY } from '../filter/reasons.ts';
import { Packet } from '../packet/packet.ts';
import { EGRESS, INGRESS, type RuleTable } from '../policy/rule-table.ts';

type Seed = (flows: Int32Array) => Promise<void>;

/**
 * Takes their allowance away from flows with the judged bit that `table` denies: the workers know them as revoked first, then the mark goes, so that no packet
 * between the two finds a flow that nobody remembers. Other flows are not touched. Gives back how many were judged, and how many of them revoked.
 */
export async function revokeJudged(
  table: RuleTable,
  judgedBit: number,
  seed: Seed,
): Promise<{ readonly judged: number; readonly revoked: number }> {
  const packet = new Packet();
  const seeds = new SeedList();
  const revoked: KernelFlowKey[] = [];
  let judged = 0;
  await eachKernelFlow(
    (flow) => {
      flow.opening(packet);
      judged++;
      if (decide(table, packet) < FIRST_DENY) return;
      seeds.add(packet, true);
      revoked.push(keyOf(flow));
    },
    judgedBit,
    judgedBit,
  );
  if (revoked.length > 0) {
    await seed(seeds.words());
    setMarks(revoked, judgedBit, 0);
  }
  return { judged, revoked: revoked.length };
}

/**
 * Judges flows that the kernel carried unjudged because no policy selected their pods. Those that `table` denies become known to the workers as
 * revoked. Those that it allows are offloaded by their mark, however many they are; without offload the workers get to know them as established.
 * Connections that are over are left alone.
 * @param offloadedBit the judged bit; 0 without offload
 * @param concerns of which endpoints, by address slot of `table`
 * @returns how many connections the kernel tracks, of whomever
 */
export async function seedUnjudged(
  table: RuleTable,
  offloadedBit: number,
  concerns: (slot: number) => boolean,
  seed: Seed,
): Promise<number> {
  const packet = new Packet();
  const seeds = new SeedList();
  const allowed: KernelFlowKey[] = [];
  let tracked = 0;
  await eachKernelFlow((flow) => {
    tracked++;
    if (flow.isOver || (flow.mark & offloadedBit) !== 0) return;
    flow.opening(packet);
    const [source, destination] = slots(table, packet);
    const isolated = isIsolated(table, source) || isIsolated(table, destination);
    if (!isolated || !(concerns(source) || concerns(destination))) return;
    const denied = decide(table, packet) >= FIRST_DENY;
    if (denied || offloadedBit === 0) seeds.add(packet, denied);
    else allowed.push(keyOf(flow));
  });
  setMarks(allowed, offloadedBit, offloadedBit);
  if (seeds.length > 0) await seed(seeds.words());
  return tracked;
}

function slots(table: RuleTable, p: Packet): [number, number] {
  return p.family === 4
    ? [table.lookup4(p.src0), table.lookup4(p.dst0)]
    : [table.lookup6(p.src0, p.src1, p.src2, p.src3), table.lookup6(p.dst0, p.dst1, p.dst2, p.dst3)];
}

function isIsolated(table: RuleTable, slot: number): boolean {
  return table.isIsolated(slot, EGRESS) || table.isIsolated(slot, INGRESS);
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

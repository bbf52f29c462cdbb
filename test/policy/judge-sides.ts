/** Asks a RuleTable the reference evaluator's questions. */
import { addressWords } from '../../src/policy/address-words.ts';
import { BY_ENFORCED, type DirectionIndex, EGRESS, INGRESS, type RuleTable } from '../../src/policy/rule-table.ts';
import type { Flow, SideVerdict } from '../reference/evaluator.ts';

export function judgeSides(table: RuleTable, flow: Flow): { egress: SideVerdict; ingress: SideVerdict } {
  return { egress: judgeSide(table, flow, EGRESS), ingress: judgeSide(table, flow, INGRESS) };
}

export function slotOf(table: RuleTable, address: string): number {
  const [a0, a1, a2, a3] = wordsOf(address);
  return isIpv4(address) ? table.lookup4(a0) : table.lookup6(a0, a1, a2, a3);
}

/** Returns all slots of an address: several if pods share it. */
function slotsOf(table: RuleTable, address: string): readonly number[] {
  const slots: number[] = [];
  for (let next = slotOf(table, address); ; ) {
    slots.push(table.sharer(next));
    next = table.nextSharer(next);
    if (next === -1) return slots;
  }
}

/** Whether an enforced policy denies the flow, for any of the pods that share an address. */
export function isDeniedByEnforced(table: RuleTable, flow: Flow): boolean {
  if ([flow.source, flow.destination].some((end) => table.hasTooManySharers(slotOf(table, end)))) return true;
  return pairs(table, flow).some(([source, destination]) =>
    ([EGRESS, INGRESS] as const).some((direction) => {
      const isolation = table.isolation(direction === EGRESS ? source : destination, direction);
      return isolation === BY_ENFORCED && !judgePods(table, flow, direction, source, destination).allowed;
    }),
  );
}

/** Returns the pairs of slots that source and destination may be. */
function pairs(table: RuleTable, { source, destination }: Flow): readonly (readonly [number, number])[] {
  return slotsOf(table, source).flatMap((from) =>
    slotsOf(table, destination)
      .filter((to) => source !== destination || from === to)
      .map((to) => [from, to] as const),
  );
}

/** If pods share an address, returns a verdict that holds for each of them. */
function judgeSide(table: RuleTable, flow: Flow, direction: DirectionIndex): SideVerdict {
  const own = direction === EGRESS ? flow.source : flow.destination;
  if (table.hasTooManySharers(slotOf(table, own))) return { isolated: true, allowed: false };
  const sides = pairs(table, flow).map(([source, destination]) =>
    judgePods(table, flow, direction, source, destination),
  );
  const isolated = sides.some((side) => side.isolated);
  return { isolated, allowed: sides.every(({ allowed }) => allowed) };
}

function judgePods(
  table: RuleTable,
  flow: Flow,
  direction: DirectionIndex,
  source: number,
  destination: number,
): SideVerdict {
  const [slot, peerSlot, peer] =
    direction === EGRESS ? [source, destination, flow.destination] : [destination, source, flow.source];
  if (!table.isIsolated(slot, direction)) return { isolated: false, allowed: true };
  const [p0, p1, p2, p3] = wordsOf(peer);
  const { protocol, port } = flow;
  const allowed = isIpv4(peer)
    ? table.allows4(slot, direction, peerSlot, p0, destination, protocol, port)
    : table.allows6(slot, direction, peerSlot, p0, p1, p2, p3, destination, protocol, port);
  return { isolated: true, allowed };
}

function isIpv4(address: string): boolean {
  return !address.includes(':');
}

function wordsOf(address: string): [number, number, number, number] {
  const words = addressWords(address);
  if (words === undefined) throw new Error(`no address: ${address}`);
  const [a0 = 0, a1 = 0, a2 = 0, a3 = 0] = words;
  return [a0, a1, a2, a3];
}

/** Asks a RuleTable what the reference evaluator is asked. */
import { addressWords } from '../../src/policy/address-words.ts';
import { type DirectionIndex, EGRESS, INGRESS, type RuleTable } from '../../src/policy/rule-table.ts';
import type { Flow, SideVerdict } from '../reference/evaluator.ts';

export function judgeSides(table: RuleTable, flow: Flow): { egress: SideVerdict; ingress: SideVerdict } {
  return { egress: judgeSide(table, flow, EGRESS), ingress: judgeSide(table, flow, INGRESS) };
}

export function slotOf(table: RuleTable, address: string): number {
  const [a0, a1, a2, a3] = wordsOf(address);
  return isIpv4(address) ? table.lookup4(a0) : table.lookup6(a0, a1, a2, a3);
}

function judgeSide(table: RuleTable, flow: Flow, direction: DirectionIndex): SideVerdict {
  const destination = slotOf(table, flow.destination);
  const [slot, peer] =
    direction === EGRESS ? [slotOf(table, flow.source), flow.destination] : [destination, flow.source];
  if (!table.isIsolated(slot, direction)) return { isolated: false, allowed: true };
  const [p0, p1, p2, p3] = wordsOf(peer);
  const peerSlot = slotOf(table, peer);
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

/** Reads the memory of a flow table: its contents, and whether its structure is intact. */
import type { FlowTable } from '../../src/conntrack/flow-table.ts';
import {
  CHAIN,
  FREE,
  GENERATION,
  HASH,
  INFO,
  LISTS,
  listOf,
  MOVED,
  NEXT,
  NO_SLOT,
  PREVIOUS,
  REVOKED_LISTS,
  SLOT_SHIFT,
  type Slot,
  UNUSED,
} from '../../src/conntrack/slots.ts';
import { STATES } from '../../src/conntrack/states.ts';
import { Packet } from '../../src/packet/packet.ts';

const word = (table: FlowTable, slot: number, index: number): number =>
  table.words[(slot << SLOT_SHIFT) + index] as number;

/**
 * Returns one line per flow, sorted: the flow as it was opened, and everything that is stored about
 * it.
 */
export function contents(table: FlowTable): string[] {
  const lines: string[] = [];
  for (const slot of chained(table)) lines.push(describeFlow(table, slot as Slot));
  return lines.sort();
}

function describeFlow(table: FlowTable, slot: Slot): string {
  const p = new Packet();
  table.readOpening(slot, p);
  const revoked = table.isRevoked(slot) ? ' revoked' : '';
  const ends = [p.src0, p.src1, p.src2, p.src3, p.srcPort, '>', p.dst0, p.dst1, p.dst2, p.dst3, p.dstPort].join(' ');
  const moved = word(table, slot, MOVED);
  return `${p.protocol} ${ends} ${STATES[table.state(slot)]}${revoked} by ${word(table, slot, GENERATION)} at ${moved} notes ${table.notes(slot)}`;
}

function chained(table: FlowTable): number[] {
  const slots: number[] = [];
  for (const first of table.buckets) {
    for (let slot = first; slot !== NO_SLOT && slots.length <= table.capacity; slot = word(table, slot, CHAIN))
      slots.push(slot);
  }
  return slots;
}

/** Returns what is wrong with the chains, lists and free slots; empty if nothing is. */
export function problems(table: FlowTable): string[] {
  const found: string[] = [];
  const check = (holds: boolean, what: string): void => {
    if (!holds) found.push(what);
  };
  const inChains = chained(table);
  check(new Set(inChains).size === inChains.length, 'a slot is chained twice');
  check(inChains.length === table.size, `${inChains.length} chained slots, size ${table.size}`);
  for (const [bucket, first] of table.buckets.entries()) {
    for (let slot = first; slot !== NO_SLOT; slot = word(table, slot, CHAIN)) {
      check((word(table, slot, HASH) & (table.buckets.length - 1)) === bucket, `slot ${slot} is in the wrong chain`);
    }
  }
  const inLists: number[] = [];
  for (let list = 0; list < LISTS; list++) {
    const slots = listed(table, list, check);
    check(
      slots.length === table.lists.sizes[list],
      `list ${list} has ${slots.length} flows, not ${table.lists.sizes[list]}`,
    );
    check(slots.length === 0 || (list & (REVOKED_LISTS - 1)) < STATES.length, `list ${list} is of no state`);
    inLists.push(...slots);
  }
  check(sorted(inLists).join() === sorted(inChains).join(), 'chains and lists do not hold the same slots');

  const unused = word(table, NO_SLOT, UNUSED);
  const free: number[] = [];
  for (
    let slot = word(table, NO_SLOT, FREE);
    slot !== NO_SLOT && free.length <= table.capacity;
    slot = word(table, slot, CHAIN)
  ) {
    free.push(slot);
  }
  const used = sorted([...free, ...inChains]);
  check(
    used.join() === Array.from({ length: unused - 1 }, (_, i) => i + 1).join(),
    'a slot is lost, or both free and in use',
  );
  check(unused - 1 <= table.capacity, 'more slots in use than there are');
  return found;
}

function listed(table: FlowTable, list: number, check: (holds: boolean, what: string) => void): number[] {
  const slots: number[] = [];
  const ring = 1 + table.capacity + list;
  let previous = ring;
  for (let slot = word(table, ring, NEXT); slot !== ring; slot = word(table, slot, NEXT)) {
    check(slot >= 1 && slot <= table.capacity, `list ${list} holds slot ${slot}`);
    check(word(table, slot, PREVIOUS) === previous, `slot ${slot} does not link back`);
    check(listOf(word(table, slot, INFO)) === list, `slot ${slot} is in the wrong list`);
    check(
      previous === ring || ((word(table, slot, MOVED) - word(table, previous, MOVED)) | 0) >= 0,
      `list ${list} is not in order`,
    );
    slots.push(slot);
    previous = slot;
    if (slots.length > table.capacity) break;
  }
  check(word(table, ring, PREVIOUS) === previous, `list ${list} does not close`);
  return slots;
}

const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b);

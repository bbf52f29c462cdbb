/**
 * The compiled policies as the packet path reads them: immutable int32 words in one
 * SharedArrayBuffer that all threads share.
 *
 *     address --hash--> slot (a pod), or several that share the address
 *     slot --> identity (pods with the same namespace, labels and named ports), and whether the pod is an endpoint of this node
 *     identity --> peer group (matched by the same peer selectors), endpoint class (selected by the same policies), port names
 *     class + direction --> isolated? ports open to anyone; prefix lengths of its ipBlocks
 *     class + direction, group --hash--> port set          class + direction, prefix --hash--> port set, longest prefix first
 *
 * No step depends on the number of policies, pods or namespaces. table-layout.ts describes the
 * layout.
 */
import { hash1, hash2, hash4, hash5 } from './hash.ts';
import {
  ADDRESS4_WORDS,
  ADDRESS6_WORDS,
  ALL_PORTS,
  ANY_PEER,
  DIRECTION_WORDS,
  FIRST_SECTION,
  GENERATION,
  GROUP_RULE_WORDS,
  HEADER_WORDS,
  ISOLATED,
  LENGTHS4,
  LENGTHS6,
  NO_PORTS,
  PORT_SET_WORDS,
  PREFIX4_WORDS,
  PREFIX6_WORDS,
  SECTIONS,
  SEED,
  type Section,
  SHARER_WORDS,
  TOO_MANY,
  WHOLE_RANGE,
  WHOLE4,
  WHOLE6,
} from './table-layout.ts';

export { BY_AUDITED, BY_ENFORCED } from './table-layout.ts';

export const EGRESS = 0;
export const INGRESS = 1;
export type DirectionIndex = typeof EGRESS | typeof INGRESS;

/** IANA protocol numbers, in the order of a port set's bounds. */
const TCP = 6;
const UDP = 17;
const SCTP = 132;

/** Up to this many ranges are searched one by one, more of them by bisection. */
const FEW_RANGES = 8;

/**
 * Reads a compiled table. Addresses are int32 words as `DataView.getInt32` reads them from a
 * packet; IPv6 has four. Only the constructor allocates; nothing throws.
 *
 * A slot stands for a pod anywhere in the cluster, and is valid only for the table that returned
 * it. -1 stands for every address that no pod has. A slot below -1 stands for several pods that
 * share the address; only `hasTooManySharers`, `isShared`, `sharer`, `nextSharer` and `isIsolated`
 * accept it.
 */
export class RuleTable {
  readonly buffer: SharedArrayBuffer;
  /** Grows with each compile; above 0. */
  readonly generation: number;
  private readonly seed: number;
  private readonly addresses4: Int32Array;
  private readonly addresses6: Int32Array;
  private readonly slots: Int32Array;
  private readonly sharers: Int32Array;
  private readonly groups: Int32Array;
  private readonly classes: Int32Array;
  private readonly profiles: Int32Array;
  private readonly directions: Int32Array;
  private readonly groupRules: Int32Array;
  private readonly prefixes4: Int32Array;
  private readonly prefixes6: Int32Array;
  private readonly portSets: Int32Array;
  private readonly namedPorts: Int32Array;
  private readonly addresses4Mask: number;
  private readonly addresses6Mask: number;
  private readonly groupRulesMask: number;
  private readonly prefixes4Mask: number;
  private readonly prefixes6Mask: number;

  /**
   * Views a buffer that table-writer.ts filled. Any number of tables, on any threads, can view one
   * buffer.
   */
  constructor(buffer: SharedArrayBuffer) {
    const header = new Int32Array(buffer, 0, HEADER_WORDS);
    const section = (name: Section): Int32Array => {
      const at = FIRST_SECTION + 2 * SECTIONS.indexOf(name);
      return new Int32Array(buffer, 4 * (header[at] as number), header[at + 1]);
    };
    this.buffer = buffer;
    this.generation = header[GENERATION] as number;
    this.seed = header[SEED] as number;
    this.addresses4 = section('addresses4');
    this.addresses6 = section('addresses6');
    this.slots = section('slots');
    this.sharers = section('sharers');
    this.groups = section('groups');
    this.classes = section('classes');
    this.profiles = section('profiles');
    this.directions = section('directions');
    this.groupRules = section('groupRules');
    this.prefixes4 = section('prefixes4');
    this.prefixes6 = section('prefixes6');
    this.portSets = section('portSets');
    this.namedPorts = section('namedPorts');
    this.addresses4Mask = this.addresses4.length / ADDRESS4_WORDS - 1;
    this.addresses6Mask = this.addresses6.length / ADDRESS6_WORDS - 1;
    this.groupRulesMask = this.groupRules.length / GROUP_RULE_WORDS - 1;
    this.prefixes4Mask = this.prefixes4.length / PREFIX4_WORDS - 1;
    this.prefixes6Mask = this.prefixes6.length / PREFIX6_WORDS - 1;
  }

  /** Returns the slot of an IPv4 address, or -1. */
  lookup4(a: number): number {
    const table = this.addresses4;
    const mask = this.addresses4Mask;
    let entry = hash1(this.seed, a) & mask;
    for (;;) {
      const at = entry * ADDRESS4_WORDS;
      const value = table[at + 1] as number;
      if (value === 0 || table[at] === a) return value - 1;
      entry = (entry + 1) & mask;
    }
  }

  /** Returns the slot of an IPv6 address, or -1. */
  lookup6(a0: number, a1: number, a2: number, a3: number): number {
    const table = this.addresses6;
    const mask = this.addresses6Mask;
    let entry = hash4(this.seed, a0, a1, a2, a3) & mask;
    for (;;) {
      const at = entry * ADDRESS6_WORDS;
      const value = table[at + 4] as number;
      if (value === 0 || (table[at + 3] === a3 && table[at + 2] === a2 && table[at + 1] === a1 && table[at] === a0)) {
        return value - 1;
      }
      entry = (entry + 1) & mask;
    }
  }

  /** Returns the identity of the pod in `slot`; -1 if the slot is not a pod's. */
  identityOf(slot: number): number {
    return slot >= 0 ? (this.slots[slot] as number) >> 1 : -1;
  }

  /**
   * Whether too many pods share the address to judge each. Then nothing is allowed to or from it.
   */
  hasTooManySharers(slot: number): boolean {
    return slot === -2 - TOO_MANY;
  }

  /** Whether several pods share the address. */
  isShared(slot: number): boolean {
    return slot < -1;
  }

  /**
   * Returns the slot of the first pod that shares the address, or `slot` itself if it is not
   * shared.
   */
  sharer(slot: number): number {
    return slot >= -1 ? slot : (this.sharers[(-2 - slot) * SHARER_WORDS] as number);
  }

  /**
   * Returns the slot for the pods that share the address after the first one; -1 if there are none.
   */
  nextSharer(slot: number): number {
    return slot >= -1 ? -1 : -2 - Math.max(-1, this.sharers[(-2 - slot) * SHARER_WORDS + 1] as number);
  }

  /** Whether it is a pod of this node that policies can select. */
  isEndpoint(slot: number): boolean {
    return slot >= 0 && ((this.slots[slot] as number) & 1) === 1;
  }

  /** Whether both addresses belong to one pod. */
  samePod(slotA: number, slotB: number): boolean {
    return slotA === slotB && slotA >= 0;
  }

  /**
   * Whether a policy, enforced or audited, selects this endpoint for the direction, or one of those
   * that share its address. False for anything but an endpoint of this node.
   */
  isIsolated(slot: number, direction: DirectionIndex): boolean {
    if (this.hasTooManySharers(slot)) return true;
    let next = slot;
    do {
      if (this.isolation(this.sharer(next), direction) !== 0) return true;
      next = this.nextSharer(next);
    } while (next !== -1);
    return false;
  }

  /**
   * Returns which policies isolate the endpoint for the direction: 0 for none, else BY_ENFORCED or
   * BY_AUDITED of table-layout.ts.
   */
  isolation(slot: number, direction: DirectionIndex): number {
    return this.directions[this.directionRecord(slot, direction) + ISOLATED] as number;
  }

  /**
   * Returns the class of an endpoint: endpoints that the same policies select share one. 0 if no
   * policy selects it, or if it is not an endpoint.
   */
  endpointClass(slot: number): number {
    if (slot < 0) return 0;
    const word = this.slots[slot] as number;
    return (word & 1) === 0 ? 0 : (this.classes[word >>> 1] as number);
  }

  /**
   * Whether the policies that isolate the endpoint in `slot` for `direction` allow it to exchange
   * traffic with the IPv4 peer.
   *
   * @param slot the endpoint, isolated for `direction`
   * @param peerSlot the peer's slot, -1 for an unknown address
   * @param peerAddress the peer's address, for ipBlocks
   * @param destSlot slot of the packet's destination, which resolves named ports
   * @param protocol IANA number
   * @param port destination port; -1 if the protocol has none or it is unknown (a later fragment),
   * which only rules for every port match
   */
  allows4(
    slot: number,
    direction: DirectionIndex,
    peerSlot: number,
    peerAddress: number,
    destSlot: number,
    protocol: number,
    port: number,
  ): boolean {
    const record = this.directionRecord(slot, direction);
    return (
      this.portsAllow(this.directions[record + ANY_PEER] as number, destSlot, protocol, port) ||
      this.portsAllow(this.groupPorts(record, peerSlot), destSlot, protocol, port) ||
      this.portsAllow(this.blockPorts4(record, peerAddress), destSlot, protocol, port)
    );
  }

  /** The same for an IPv6 peer with the address words p0..p3. */
  allows6(
    slot: number,
    direction: DirectionIndex,
    peerSlot: number,
    p0: number,
    p1: number,
    p2: number,
    p3: number,
    destSlot: number,
    protocol: number,
    port: number,
  ): boolean {
    const record = this.directionRecord(slot, direction);
    return (
      this.portsAllow(this.directions[record + ANY_PEER] as number, destSlot, protocol, port) ||
      this.portsAllow(this.groupPorts(record, peerSlot), destSlot, protocol, port) ||
      this.portsAllow(this.blockPorts6(record, p0, p1, p2, p3), destSlot, protocol, port)
    );
  }

  /** Returns where in `directions` the record of the slot's class and direction begins. */
  private directionRecord(slot: number, direction: DirectionIndex): number {
    return (this.endpointClass(slot) * 2 + direction) * DIRECTION_WORDS;
  }

  /**
   * Returns the port set that podSelector and namespaceSelector peers open to the pod in
   * `peerSlot`.
   */
  private groupPorts(record: number, peerSlot: number): number {
    if (peerSlot < 0) return NO_PORTS;
    const group = this.groups[(this.slots[peerSlot] as number) >>> 1] as number;
    if (group === 0) return NO_PORTS;
    const table = this.groupRules;
    const mask = this.groupRulesMask;
    let entry = hash2(this.seed, record, group) & mask;
    for (;;) {
      const at = entry * GROUP_RULE_WORDS;
      const ports = table[at + 2] as number;
      if (ports === NO_PORTS || (table[at + 1] === group && table[at] === record)) return ports;
      entry = (entry + 1) & mask;
    }
  }

  /**
   * Returns the port set that ipBlocks open to an IPv4 address: the one of the longest prefix that
   * contains it.
   */
  private blockPorts4(record: number, address: number): number {
    const table = this.prefixes4;
    const mask = this.prefixes4Mask;
    let lengths = this.directions[record + LENGTHS4] as number;
    while (lengths !== 0) {
      const bit = 31 - Math.clz32(lengths);
      lengths ^= 1 << bit;
      const scope = (record << 8) | (bit + 1);
      const prefix = address & (-1 << (31 - bit));
      let entry = hash2(this.seed, scope, prefix) & mask;
      for (;;) {
        const at = entry * PREFIX4_WORDS;
        const value = table[at + 2] as number;
        if (value === 0) break;
        if (table[at + 1] === prefix && table[at] === scope) return value - 1;
        entry = (entry + 1) & mask;
      }
    }
    return this.directions[record + WHOLE4] as number;
  }

  /** Returns the port set that ipBlocks open to an IPv6 address. */
  private blockPorts6(record: number, a0: number, a1: number, a2: number, a3: number): number {
    const table = this.prefixes6;
    const mask = this.prefixes6Mask;
    for (let word = 3; word >= 0; word--) {
      let lengths = this.directions[record + LENGTHS6 + word] as number;
      while (lengths !== 0) {
        const bit = 31 - Math.clz32(lengths);
        lengths ^= 1 << bit;
        const scope = (record << 8) | (32 * word + bit + 1);
        const last = -1 << (31 - bit);
        const p0 = word === 0 ? a0 & last : a0;
        const p1 = word === 1 ? a1 & last : word > 1 ? a1 : 0;
        const p2 = word === 2 ? a2 & last : word > 2 ? a2 : 0;
        const p3 = word === 3 ? a3 & last : 0;
        let entry = hash5(this.seed, scope, p0, p1, p2, p3) & mask;
        for (;;) {
          const at = entry * PREFIX6_WORDS;
          const value = table[at + 5] as number;
          if (value === 0) break;
          if (
            table[at + 4] === p3 &&
            table[at + 3] === p2 &&
            table[at + 2] === p1 &&
            table[at + 1] === p0 &&
            table[at] === scope
          ) {
            return value - 1;
          }
          entry = (entry + 1) & mask;
        }
      }
    }
    return this.directions[record + WHOLE6] as number;
  }

  /**
   * Whether the port set contains the port (-1: every port) of the protocol, on this destination.
   */
  private portsAllow(ports: number, destSlot: number, protocol: number, port: number): boolean {
    if (ports === NO_PORTS) return false;
    if (ports === ALL_PORTS) return true;
    const kind = protocol === TCP ? 0 : protocol === UDP ? 1 : protocol === SCTP ? 2 : -1;
    if (kind < 0) return false;
    const words = this.portSets;
    const bounds = ports * PORT_SET_WORDS;
    const first = words[bounds + kind] as number;
    const end = words[bounds + kind + 1] as number;
    if (port < 0) return end - first === 1 && words[first] === WHOLE_RANGE;
    if (rangesHold(words, first, end, port)) return true;
    return this.namedPortAllows(words[bounds + 3] as number, words[bounds + 4] as number, destSlot, kind, port);
  }

  /** Whether the destination pod has the port under one of the names in portSets[first, end). */
  private namedPortAllows(first: number, end: number, destSlot: number, kind: number, port: number): boolean {
    if (first === end || destSlot < 0) return false;
    const profile = this.profiles[(this.slots[destSlot] as number) >>> 1] as number;
    const named = this.namedPorts;
    const last = named[profile + 1] as number;
    for (let i = named[profile] as number; i < last; i += 2) {
      if (named[i + 1] !== ((port << 2) | kind)) continue;
      const name = named[i] as number;
      let low = first;
      let high = end;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((this.portSets[middle] as number) < name) low = middle + 1;
        else high = middle;
      }
      if (low < end && this.portSets[low] === name) return true;
    }
    return false;
  }
}

/** Whether the port is in one of the sorted, disjoint ranges words[first, end). */
function rangesHold(words: Int32Array, first: number, end: number, port: number): boolean {
  let low = first;
  let high = end;
  while (high - low > FEW_RANGES) {
    const middle = (low + high) >>> 1;
    if ((words[middle] as number) >>> 16 <= port) low = middle;
    else high = middle;
  }
  for (let i = low; i < high; i++) {
    const range = words[i] as number;
    if (port < range >>> 16) return false;
    if (port <= (range & 0xffff)) return true;
  }
  return false;
}

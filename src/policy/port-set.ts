/**
 * Port sets: what the `ports` of a rule, or of several rules together, allow. Equal sets are
 * interned, so that they are compared, united and stored by number. A set has named ports and, for
 * each of TCP, UDP and SCTP, sorted ranges that neither overlap nor touch.
 */
import type { PolicyPort, Protocol } from '../cluster/records.ts';
import { type PortNames, PROTOCOL_PLACE } from './port-names.ts';
import { ALL_PORTS, NO_PORTS, PORT_SET_WORDS, WHOLE_RANGE } from './table-layout.ts';

interface NamedPort {
  readonly protocol: Protocol;
  readonly name: string;
}

/** Ranges are words as in the table, but unsigned so that they sort: first * 65536 + last. */
type Ranges = readonly number[];

interface PortSet {
  readonly key: string;
  /** By protocol index: TCP, UDP, SCTP. */
  readonly ranges: readonly [Ranges, Ranges, Ranges];
  /** By the number of a (protocol, name) in `PortNames`, ascending. */
  readonly names: ReadonlyMap<number, NamedPort>;
}

const MAX_PORT = 65_535;
const NOTHING: PortSet = { key: '', ranges: [[], [], []], names: new Map() };
/** Remembered unions of two sets; compiling one change never reuses more. */
const MAX_UNIONS = 65_536;

export class PortSets {
  private readonly names: PortNames;
  /** By number. `ALL_PORTS` has no contents, only a meaning; undefined marks a free number. */
  private readonly sets: (PortSet | undefined)[] = [];
  private readonly byKey = new Map<string, number>();
  private readonly unions = new Map<number, number>();
  private free: number[] = [];
  private section: Int32Array | undefined;
  /** Grows with every change. */
  version = 0;

  constructor(names: PortNames) {
    this.names = names;
    this.sets[NO_PORTS] = NOTHING;
    this.byKey.set(NOTHING.key, NO_PORTS);
    this.sets[ALL_PORTS] = NOTHING;
  }

  /** Number of sets in memory. */
  get size(): number {
    return this.byKey.size;
  }

  /** Returns how many ranges and names a set has; 0 for all ports, which are not listed. */
  rangesOf(number: number): number {
    return contents(this.sets[number] ?? NOTHING).reduce((sum, { length }) => sum + length, 0);
  }

  /**
   * Returns the port set of a rule's `ports`: all ports if the list is empty, but not if none of
   * its entries can match.
   */
  ofRule(ports: readonly PolicyPort[]): number {
    if (ports.length === 0) return ALL_PORTS;
    const ranges: [number[], number[], number[]] = [[], [], []];
    const named: NamedPort[] = [];
    for (const { protocol, port, endPort } of ports) {
      const place = ranges[PROTOCOL_PLACE[protocol] as 0 | 1 | 2];
      if (typeof port === 'string') named.push({ protocol, name: port });
      else if (port === undefined) place.push(WHOLE_RANGE);
      else if (port >= 0 && port <= (endPort ?? port) && (endPort ?? port) <= MAX_PORT) {
        place.push(port * 0x10000 + (endPort ?? port));
      }
    }
    const names = new Map<number, NamedPort>();
    for (const port of named) names.set(this.names.retainName(port.protocol, port.name), port);
    const number = this.intern([merged(ranges[0]), merged(ranges[1]), merged(ranges[2])], names);
    // The set has retained its names itself.
    for (const port of named) this.names.releaseName(port.protocol, port.name);
    return number;
  }

  /**
   * Returns the union of the sets. It unites all at once: uniting thousands one after the other
   * would intern as many intermediate sets, each larger than the last.
   */
  union(sets: Iterable<number>): number {
    const distinct = new Set(sets);
    distinct.delete(NO_PORTS);
    if (distinct.has(ALL_PORTS)) return ALL_PORTS;
    const [first = NO_PORTS, second] = distinct;
    if (second === undefined) return first;
    if (distinct.size > 2) return this.unite(distinct);
    const pair = Math.min(first, second) * 2 ** 26 + Math.max(first, second);
    let united = this.unions.get(pair);
    if (united === undefined) {
      united = this.unite(distinct);
      if (this.unions.size >= MAX_UNIONS) this.unions.clear();
      this.unions.set(pair, united);
    }
    return united;
  }

  /** Whether the outer set allows all that the inner one does, so that their union is the outer. */
  includes(outer: number, inner: number): boolean {
    if (inner === outer || inner === NO_PORTS || outer === ALL_PORTS) return true;
    if (inner === ALL_PORTS) return false;
    const [all, part] = [this.sets[outer] ?? NOTHING, this.sets[inner] ?? NOTHING];
    return (
      part.ranges.every((ranges, place) => ranges.every((range) => isCovered(range, all.ranges[place] ?? []))) &&
      [...part.names.keys()].every((name) => all.names.has(name))
    );
  }

  /** Removes every set that is not among `live`. */
  sweep(live: ReadonlySet<number>): void {
    for (let number = ALL_PORTS + 1; number < this.sets.length; number++) {
      const set = this.sets[number];
      if (set === undefined || live.has(number)) continue;
      for (const { protocol, name } of set.names.values()) this.names.releaseName(protocol, name);
      this.byKey.delete(set.key);
      this.sets[number] = undefined;
      this.free.push(number);
    }
    this.unions.clear();
    this.section = undefined;
    this.version++;
  }

  /** The section `portSets` of a RuleTable. */
  words(): Int32Array {
    this.section ??= this.encode();
    return this.section;
  }

  private unite(numbers: Iterable<number>): number {
    const ranges: [number[], number[], number[]] = [[], [], []];
    const names = new Map<number, NamedPort>();
    for (const number of numbers) {
      const set = this.sets[number] ?? NOTHING;
      set.ranges.forEach((each, place) => {
        for (const range of each) (ranges[place] as number[]).push(range);
      });
      for (const [key, name] of set.names) names.set(key, name);
    }
    return this.intern([merged(ranges[0]), merged(ranges[1]), merged(ranges[2])], names);
  }

  private intern(ranges: readonly [Ranges, Ranges, Ranges], names: ReadonlyMap<number, NamedPort>): number {
    const numbers = [...names.keys()].sort((a, b) => a - b);
    const key = ranges.some((each) => each.length > 0) || numbers.length > 0 ? [...ranges, numbers].join('|') : '';
    const known = this.byKey.get(key);
    if (known !== undefined) return known;
    for (const { protocol, name } of names.values()) this.names.retainName(protocol, name);
    const number = this.free.pop() ?? this.sets.length;
    this.sets[number] = {
      key,
      ranges,
      names: new Map(numbers.map((each) => [each, names.get(each) as NamedPort])),
    };
    this.byKey.set(key, number);
    this.section = undefined;
    this.version++;
    return number;
  }

  private encode(): Int32Array {
    let at = this.sets.length * PORT_SET_WORDS;
    let length = at;
    for (const set of this.sets)
      length += set === undefined ? 0 : contents(set).reduce((sum, each) => sum + each.length, 0);
    const words = new Int32Array(length);
    this.sets.forEach((set, number) => {
      const bounds = number * PORT_SET_WORDS;
      words[bounds] = at;
      contents(set ?? NOTHING).forEach((each, place) => {
        words.set(each, at);
        at += each.length;
        words[bounds + place + 1] = at;
      });
    });
    return words;
  }
}

/** Returns what follows a set's bounds in the table: ranges of TCP, UDP, SCTP, and names. */
function contents({ ranges, names }: PortSet): readonly Ranges[] {
  return [...ranges, [...names.keys()]];
}

/** Whether one of these ranges contains the range. Ranges neither overlap nor touch. */
function isCovered(range: number, ranges: Ranges): boolean {
  const first = Math.floor(range / 0x10000);
  let low = 0;
  let high = ranges.length;
  // Find the last range that begins no later.
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Math.floor((ranges[middle] as number) / 0x10000) <= first) low = middle + 1;
    else high = middle;
  }
  const around = ranges[low - 1];
  return around !== undefined && range % 0x10000 <= around % 0x10000;
}

/** Sorts the ranges, and joins those that overlap or touch. */
function merged(ranges: number[]): Ranges {
  if (ranges.length < 2) return ranges;
  ranges.sort((a, b) => a - b);
  const joined: number[] = [];
  let first = -1;
  let last = -2;
  for (const range of ranges) {
    const from = Math.floor(range / 0x10000);
    const to = range % 0x10000;
    if (from <= last + 1) {
      last = Math.max(last, to);
      continue;
    }
    if (first >= 0) joined.push(first * 0x10000 + last);
    first = from;
    last = to;
  }
  joined.push(first * 0x10000 + last);
  return joined;
}

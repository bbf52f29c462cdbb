/**
 * The flows that were opened or denied last, a line for each, and those who read them. Whatever comes, it holds a fixed number of lines, notes a fixed number of new
 * ones in a second, and holds nothing for a reader but a place.
 *
 *     oldest line ... | a reader's place | ... newest line          a line whose count has grown goes to the end, at most once in REPEAT
 *
 * A reader is given what lies behind its place; what leaves the log before, it is told the number of.
 */
import type { FlowEnd } from '../explain/flow-end.ts';
import type { Verdict } from '../filter/verdict.ts';
import { TokenBucket } from '../sys/token-bucket.ts';
import type { Flow } from './flow.ts';
import type { FlowQuery } from './flow-query.ts';
import { type FlowLines, FlowReader, type LoggedFlow } from './flow-reader.ts';

/** Times in ms. */
export interface FlowLogLimits {
  /** @default 2048 */
  readonly lines: number;
  /** New lines of a verdict in a second. @default 100 */
  readonly rate: number;
  /** New lines of a verdict at once. @default 500 */
  readonly burst: number;
  /** Between two times that a line goes to the end. @default 1000 */
  readonly repeat: number;
  /** At the same time. @default 16 */
  readonly readers: number;
}

const LIMITS: FlowLogLimits = { lines: 2048, rate: 100, burst: 500, repeat: 1000, readers: 16 };

/** A flow as somebody has seen it. */
export interface FlowSighting {
  /** What it has in common with its repeats. */
  readonly key: string;
  readonly verdict: Verdict;
  readonly sourcePort: number | null;
  /** Called only where there is no line that says so already. */
  readonly describe: () => Flow;
}

export class FlowLog implements FlowLines {
  readonly #limits: FlowLogLimits;
  readonly #lines = new Set<LoggedFlow>();
  /** The line that the next sighting of a key belongs to. */
  readonly #current = new Map<string, LoggedFlow>();
  /** Lines that have grown since they got their place. */
  readonly #grown = new Set<LoggedFlow>();
  /** Lines with an end of which no more than its address is known, by that. */
  readonly #nameless = new Map<string, Set<LoggedFlow>>();
  readonly #readers = new Set<FlowReader>();
  readonly #newLines: Readonly<Record<Verdict, TokenBucket>>;
  #lastId = 0;
  #lastPlace = 0;
  #leftOut = 0;
  #names = 0;

  constructor(limits: Partial<FlowLogLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
    const { rate, burst } = this.#limits;
    const bucket = () => new TokenBucket(rate, burst);
    this.#newLines = { allow: bucket(), deny: bucket(), would_deny: bucket() };
  }

  /** @param now in ms since 1970 */
  note({ key, verdict, sourcePort, describe }: FlowSighting, now: number): void {
    const line = this.#current.get(key);
    let flow: Flow | undefined;
    if (line !== undefined && line.names !== this.#names) {
      flow = describe();
      if (JSON.stringify(flow) === line.text) line.names = this.#names;
    }
    if (line !== undefined && line.names === this.#names) {
      line.count++;
      line.last = now;
      line.sourcePort = sourcePort;
      this.#grown.add(line);
    } else if (this.#newLines[verdict].take(now)) {
      this.#add(key, flow ?? describe(), sourcePort, now);
    } else {
      this.#leftOut++;
    }
  }

  /** Events that were lost on the way here. */
  leaveOut(events: number): void {
    this.#leftOut += events;
  }

  /** Pods or policies have changed: the same packet may be told of in other words from now on. */
  namesChanged(): void {
    this.#names++;
  }

  /**
   * An address has turned out to be `end`'s, since `since` in ms since 1970. Lines that know no more than the address get the name, but for those that begin before: they may be
   * about whoever had the address then. Readers are given such a line again, as if it had grown.
   */
  nameEnd(end: FlowEnd, since: number): void {
    for (const line of this.#nameless.get(end.address) ?? []) {
      if (line.first < since) continue;
      const { from, to } = line.flow;
      const named = (old: FlowEnd) => (old.kind === 'address' && old.address === end.address ? end : old);
      this.#forgetNameless(line);
      line.flow = { ...line.flow, from: named(from), to: named(to) };
      line.text = JSON.stringify(line.flow);
      this.#rememberNameless(line);
      this.#grown.add(line);
    }
  }

  /** Tells the readers what was noted since the last time. */
  publish(now: number): void {
    for (const line of this.#grown) {
      if (now - line.placedAt >= this.#limits.repeat) this.#place(line, now);
    }
    for (const reader of this.#readers) reader.wake();
  }

  /** A reader, who must close it in the end; undefined where there are too many. */
  open(query: FlowQuery): FlowReader | undefined {
    if (this.#readers.size >= this.#limits.readers) return undefined;
    const reader = new FlowReader(this, query, () => this.#readers.delete(reader));
    this.#readers.add(reader);
    return reader;
  }

  get lines(): Iterable<LoggedFlow> {
    return this.#lines;
  }

  get leftOut(): number {
    return this.#leftOut;
  }

  #add(key: string, flow: Flow, sourcePort: number | null, now: number): void {
    const line: LoggedFlow = {
      ...{ id: ++this.#lastId, key, flow, text: JSON.stringify(flow), sourcePort },
      ...{ first: now, last: now, count: 1, place: 0, placedAt: now },
      ...{ leftOut: this.#leftOut, names: this.#names },
    };
    this.#current.set(key, line);
    this.#rememberNameless(line);
    this.#place(line, now);
    const [oldest] = this.#lines;
    if (this.#lines.size > this.#limits.lines && oldest !== undefined) this.#drop(oldest);
  }

  #place(line: LoggedFlow, now: number): void {
    this.#lines.delete(line);
    this.#grown.delete(line);
    line.place = ++this.#lastPlace;
    line.placedAt = now;
    this.#lines.add(line);
  }

  #drop(line: LoggedFlow): void {
    this.#lines.delete(line);
    this.#grown.delete(line);
    this.#forgetNameless(line);
    if (this.#current.get(line.key) === line) this.#current.delete(line.key);
    for (const reader of this.#readers) reader.dropped(line);
  }

  #rememberNameless(line: LoggedFlow): void {
    for (const address of namelessAddresses(line)) {
      const lines = this.#nameless.get(address);
      if (lines === undefined) this.#nameless.set(address, new Set([line]));
      else lines.add(line);
    }
  }

  #forgetNameless(line: LoggedFlow): void {
    for (const address of namelessAddresses(line)) {
      const lines = this.#nameless.get(address);
      lines?.delete(line);
      if (lines?.size === 0) this.#nameless.delete(address);
    }
  }
}

function namelessAddresses({ flow: { from, to } }: LoggedFlow): readonly string[] {
  return [from, to].flatMap(({ kind, address }) => (kind === 'address' ? [address] : []));
}

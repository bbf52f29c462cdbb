/**
 * The log of the flows opened or denied last, one line each, and its readers. Its cost is bounded:
 * it keeps a fixed number of lines, adds a fixed number of new lines per second, and keeps only a
 * place for each reader.
 *
 *     oldest line ... | a reader's place | ... newest line
 *
 * A line whose count has grown moves to the end, at most once per `repeat`. A reader gets the lines
 * behind its place. It also gets the number of lines that the log dropped before the reader took
 * them.
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
  /** New lines per second, for each verdict. @default 100 */
  readonly rate: number;
  /** New lines at once, for each verdict. @default 500 */
  readonly burst: number;
  /** Least time between two moves of a line to the end. @default 1000 */
  readonly repeat: number;
  /** Readers at the same time. @default 16 */
  readonly readers: number;
}

const LIMITS: FlowLogLimits = { lines: 2048, rate: 100, burst: 500, repeat: 1000, readers: 16 };

/** One sighting of a flow. */
export interface FlowSighting {
  /** The same for all repeats of the flow. */
  readonly key: string;
  readonly verdict: Verdict;
  readonly sourcePort: number | null;
  /** Called only if no up-to-date line describes the flow. */
  readonly describe: () => Flow;
}

export class FlowLog implements FlowLines {
  readonly #limits: FlowLogLimits;
  readonly #lines = new Set<LoggedFlow>();
  /** The line that counts the next sighting of a key. */
  readonly #current = new Map<string, LoggedFlow>();
  /** Lines that have changed since they got their place. */
  readonly #grown = new Set<LoggedFlow>();
  /** Lines with an end known only by its address, by that address. */
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

  /**
   * Counts a sighting on its line, or adds a line if the rate allows it.
   * @param now in ms since 1970
   */
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

  /** Counts events that were lost before they reached the log. */
  leaveOut(events: number): void {
    this.#leftOut += events;
  }

  /** Pods or policies have changed, so the next sighting of a flow may need another description. */
  namesChanged(): void {
    this.#names++;
  }

  /**
   * Names an address in the lines that know no more of that end. `end` has had the address since
   * `since`, in ms since 1970. Earlier lines stay as they are, because another pod may have had the
   * address then. Readers get a renamed line again, as if its count had grown.
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

  /** Moves changed lines to the end and wakes the readers. */
  publish(now: number): void {
    for (const line of this.#grown) {
      if (now - line.placedAt >= this.#limits.repeat) this.#place(line, now);
    }
    for (const reader of this.#readers) reader.wake();
  }

  /** Opens a reader, which the caller must close. Returns undefined if there are too many. */
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

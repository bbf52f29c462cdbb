/** Somebody who reads the log of flows, at their own pace. */
import type { Flow, FlowLine, LeftOut } from './flow.ts';
import { DEFAULT_LAST, type FlowQuery, matchesFlow } from './flow-query.ts';

/** One line of the log, as it is now. Times in ms since 1970. */
export interface LoggedFlow {
  readonly id: number;
  /** What the flow has in common with its repeats. */
  readonly key: string;
  /** Its ends may get names later. */
  flow: Flow;
  /** JSON of `flow`. */
  text: string;
  readonly first: number;
  last: number;
  count: number;
  sourcePort: number | null;
  /** Greater than that of all lines before it. */
  place: number;
  /** When it got this place. */
  placedAt: number;
  /** Events that had been left out when the line was made. */
  readonly leftOut: number;
  /** Of the names that it was described with last. */
  names: number;
}

/** What a reader sees of the log. */
export interface FlowLines {
  /** In the order of their places. */
  readonly lines: Iterable<LoggedFlow>;
  /** Events that found no line, of all time. */
  readonly leftOut: number;
}

export class FlowReader {
  readonly #log: FlowLines;
  readonly #query: FlowQuery;
  readonly #onClose: (reader: FlowReader) => void;
  /** Lines up to here were read. */
  #place: number;
  #earlier: number;
  #slow = 0;
  /** Events left out up to here were told. */
  #flood: number;
  #isClosed = false;
  #wake: (() => void) | undefined;

  /** Begins with the last lines of those that are there, as many as the query asks for. */
  constructor(log: FlowLines, query: FlowQuery, onClose: (reader: FlowReader) => void) {
    this.#log = log;
    this.#query = query;
    this.#onClose = onClose;
    const { last = DEFAULT_LAST } = query;
    const lines = [...log.lines];
    const wanted = lines.filter(({ flow }) => matchesFlow(query, flow));
    const shown = last === 0 ? [] : wanted.slice(-last);
    this.#earlier = last === 0 ? 0 : wanted.length - shown.length;
    this.#place = (shown[0]?.place ?? (lines.at(-1)?.place ?? 0) + 1) - 1;
    // What was left out since the first of the lines that it gets was made; where it gets none, at any time.
    const since = shown.reduce((least, { leftOut }) => Math.min(least, leftOut), log.leftOut);
    this.#flood = shown.length === 0 && last > 0 ? 0 : since;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The next lines, `most` at most; none where it has read everything. */
  take(most: number): FlowLine[] {
    const taken: FlowLine[] = [];
    for (const line of this.#log.lines) {
      if (line.place <= this.#place) continue;
      if (taken.length === most) break;
      this.#place = line.place;
      if (matchesFlow(this.#query, line.flow)) taken.push(flowLine(line));
    }
    return taken;
  }

  /** What it was not given since the last call; undefined where that is nothing. */
  takeLeftOut(): LeftOut | undefined {
    const leftOut = { earlier: this.#earlier, flood: this.#log.leftOut - this.#flood, slow: this.#slow };
    this.#flood = this.#log.leftOut;
    this.#earlier = 0;
    this.#slow = 0;
    return leftOut.earlier + leftOut.flood + leftOut.slow > 0 ? leftOut : undefined;
  }

  /** Resolves when there may be more, with true, or when `milliseconds` are over, with false. */
  async more(milliseconds: number): Promise<boolean> {
    if (this.#isClosed) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), milliseconds);
    this.#wake = () => resolve(true);
    const woken = await promise;
    clearTimeout(timer);
    this.#wake = undefined;
    return woken;
  }

  wake(): void {
    this.#wake?.();
  }

  /** The log has dropped a line. */
  dropped({ place, flow }: LoggedFlow): void {
    if (place > this.#place && matchesFlow(this.#query, flow)) this.#slow++;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose(this);
    this.wake();
  }
}

function flowLine({ id, flow, first, last, count, sourcePort }: LoggedFlow): FlowLine {
  const times = { first: new Date(first).toISOString(), last: new Date(last).toISOString() };
  return { id, ...times, count, ...flow, sourcePort };
}

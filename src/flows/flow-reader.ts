/** A reader of the flow log, at its own pace. */
import type { Flow, FlowLine, LeftOut } from './flow.ts';
import { DEFAULT_LAST, type FlowQuery, matchesFlow } from './flow-query.ts';

/** One line of the log, as it is now. Times in ms since 1970. */
export interface LoggedFlow {
  readonly id: number;
  /** The same for all repeats of the flow. */
  readonly key: string;
  /** Its ends may be named later. */
  flow: Flow;
  /** JSON of `flow`. */
  text: string;
  readonly first: number;
  last: number;
  count: number;
  sourcePort: number | null;
  /** Greater than the place of every earlier line. */
  place: number;
  /** When it got this place. */
  placedAt: number;
  /** The log's `leftOut` when the line was added. */
  readonly leftOut: number;
  /** The version of the names that describe it; see `FlowLog.namesChanged`. */
  names: number;
}

/** What a reader sees of the log. */
export interface FlowLines {
  /** In the order of their places. */
  readonly lines: Iterable<LoggedFlow>;
  /** Events without a line, since the log began. */
  readonly leftOut: number;
}

export class FlowReader {
  readonly #log: FlowLines;
  readonly #query: FlowQuery;
  readonly #onClose: (reader: FlowReader) => void;
  /** Place of the last line read. */
  #place: number;
  #earlier: number;
  #slow = 0;
  /** How much of the log's `leftOut` is reported or of no concern. */
  #flood: number;
  #isClosed = false;
  #wake: (() => void) | undefined;

  /** Starts at the last matching lines, as many as the query asks for. */
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
    // Report what was left out since the first shown line was added; if no line matches, since the
    // log began.
    const since = shown.reduce((least, { leftOut }) => Math.min(least, leftOut), log.leftOut);
    this.#flood = shown.length === 0 && last > 0 ? 0 : since;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Returns the next lines, at most `most`; none if all were read. */
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

  /** Returns what was left out since the last call; undefined if nothing was. */
  takeLeftOut(): LeftOut | undefined {
    const leftOut = { earlier: this.#earlier, flood: this.#log.leftOut - this.#flood, slow: this.#slow };
    this.#flood = this.#log.leftOut;
    this.#earlier = 0;
    this.#slow = 0;
    return leftOut.earlier + leftOut.flood + leftOut.slow > 0 ? leftOut : undefined;
  }

  /** Resolves with true when there may be more lines, or with false after `milliseconds`. */
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

  /** The log calls this when it drops a line. */
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

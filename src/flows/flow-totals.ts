/**
 * The flows of a capture, one line each, however many packets they have. The number of lines is
 * fixed: one more pushes out the oldest, which is handed over as it is.
 */

import type { Flow, FlowLine } from './flow.ts';
import type { FlowEvent } from './flow-events.ts';
import type { FlowSighting } from './flow-log.ts';

/** Flows and denied packets of one policy. */
export interface PolicyTotal {
  readonly policy: string;
  allowed: number;
  denied: number;
  /** Would be denied if the policy were enforced instead of audited. */
  wouldBeDenied: number;
}

interface Line {
  readonly id: number;
  readonly flow: Flow;
  readonly first: number;
  last: number;
  count: number;
  sourcePort: number | null;
  /** When it was last reported, in ms since 1970. */
  toldAt: number;
}

export class FlowTotals {
  readonly #describe: (event: FlowEvent) => FlowSighting;
  readonly #capacity: number;
  readonly #full: (line: FlowLine, isNews: boolean) => void;
  readonly #lines = new Map<string, Line>();
  /** One iterator for all evictions: a new one would walk over all lines removed so far. */
  readonly #oldest = this.#lines.entries();
  readonly #policies = new Map<string, PolicyTotal>();
  /** Lines that are new or have grown since they were last reported. */
  readonly #untold = new Set<Line>();
  #lastId = 0;

  /** @param full receives the line that makes room, and whether `news` had yet to report it */
  constructor(
    describe: (event: FlowEvent) => FlowSighting,
    capacity: number,
    full: (line: FlowLine, isNews: boolean) => void,
  ) {
    this.#describe = describe;
    this.#capacity = capacity;
    this.#full = full;
  }

  /**
   * Counts an event on the line of its flow.
   * @param time in ms since 1970; NaN if unknown
   */
  note(event: FlowEvent, time: number): void {
    const { key, describe, sourcePort } = this.#describe(event);
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = { id: ++this.#lastId, flow: describe(), first: time, last: time, count: 0, sourcePort, toldAt: 0 };
      this.#lines.set(key, line);
      this.#makeRoom();
    }
    line.count++;
    line.last = time;
    line.sourcePort = sourcePort;
    this.#untold.add(line);
    this.#countPolicies(line.flow);
  }

  /**
   * Returns the lines that are new, and those that have grown and were not reported for `repeat`
   * ms.
   */
  news(now: number, repeat: number): readonly FlowLine[] {
    const due = [...this.#untold].filter(({ toldAt }) => now - toldAt >= repeat);
    for (const line of due) {
      this.#untold.delete(line);
      line.toldAt = now;
    }
    return due.map(lineOf);
  }

  /** Returns the lines held, in the order in which their flows were first seen. */
  lines(): readonly FlowLine[] {
    return [...this.#lines.values()].map(lineOf);
  }

  /** Returns the totals of all flows noted, most denials first. */
  policies(): readonly PolicyTotal[] {
    return [...this.#policies.values()].sort(
      (a, b) =>
        b.denied - a.denied ||
        b.wouldBeDenied - a.wouldBeDenied ||
        b.allowed - a.allowed ||
        (a.policy < b.policy ? -1 : 1),
    );
  }

  #makeRoom(): void {
    if (this.#lines.size <= this.#capacity) return;
    const { value, done } = this.#oldest.next();
    if (done) return;
    const [key, line] = value;
    this.#lines.delete(key);
    this.#full(lineOf(line), this.#untold.delete(line));
  }

  #countPolicies({ policies, verdict }: Flow): void {
    for (const each of policies) {
      const policy = `${each.namespace}/${each.name}`;
      let total = this.#policies.get(policy);
      if (total === undefined) {
        total = { policy, allowed: 0, denied: 0, wouldBeDenied: 0 };
        this.#policies.set(policy, total);
      }
      if (verdict === 'allow') total.allowed++;
      else if (verdict === 'would_deny') total.wouldBeDenied++;
      else total.denied++;
    }
  }
}

function lineOf({ flow, id, first, last, count, sourcePort }: Line): FlowLine {
  return { ...flow, id, first: iso(first), last: iso(last), count, sourcePort };
}

function iso(time: number): string {
  return new Date(Number.isNaN(time) ? 0 : time).toISOString();
}

/** What a canary's pods reported, by pair, in the time of the command's clock. */
import { type Attempt, type PodLine, RESULTS, type Target } from './report-line.ts';

interface ObservedPod {
  /** The pod's clock when it wrote its last line. */
  now: number;
  readonly targets: readonly Target[];
  /** The pod's clock minus ours, in ms: a lower bound, from the fastest line so far. */
  offset: number;
  nextLine: number;
}

/**
 * No clocks are compared, neither the nodes' nor the API server's. A pod reports times in ms since
 * it started. A line that says "it is now p" and arrives at our time c shows that the pod's clock
 * is at least p - c ahead of ours. The largest such difference is the closest to the real offset.
 * So a pod's times come out too late by the delay of its fastest line, some ms, and never too
 * early: no change took longer than is reported.
 */
export class Observations {
  readonly #pods = new Map<string, ObservedPod>();
  readonly #attempts = new Map<string, { readonly pod: ObservedPod; readonly list: Attempt[] }>();

  /** @param targets in the order in which the pod received them */
  expect(pod: string, targets: readonly Target[]): void {
    const observed = { now: 0, targets, offset: Number.NEGATIVE_INFINITY, nextLine: 0 };
    this.#pods.set(pod, observed);
    for (const { id } of targets) this.#attempts.set(id, { pod: observed, list: [] });
  }

  /** @param arrival in ms of our clock */
  add(pod: string, { line, now, attempts }: PodLine, arrival: number): void {
    const observed = this.#pods.get(pod);
    // A log that is read again starts with lines that are known already.
    if (observed === undefined || line < observed.nextLine) return;
    observed.nextLine = line + 1;
    observed.now = now;
    observed.offset = Math.max(observed.offset, now - arrival);
    for (const [target, start, took, result] of attempts) {
      const id = observed.targets[target]?.id ?? '';
      this.#attempts.get(id)?.list.push({ start, end: start + took, result: RESULTS[result] ?? 'failed' });
    }
  }

  hasReported(pod: string): boolean {
    return (this.#pods.get(pod)?.nextLine ?? 0) > 0;
  }

  /** Returns the time, in ms of our clock, up to which the pair's finished attempts are known. */
  heardUntil(pair: string): number {
    const { pod } = this.#attempts.get(pair) ?? {};
    return pod === undefined ? Number.NEGATIVE_INFINITY : pod.now - pod.offset;
  }

  /** Returns when the program of the probing pod started, in ms of our clock. */
  startOf(pair: string): number {
    return -(this.#attempts.get(pair)?.pod.offset ?? 0);
  }

  /** Returns the pair's finished attempts, ordered by start, in ms of our clock. */
  of(pair: string): Attempt[] {
    const { pod, list } = this.#attempts.get(pair) ?? {};
    if (pod === undefined || list === undefined) return [];
    const ours = list.map(({ start, end, result }) => ({ start: start - pod.offset, end: end - pod.offset, result }));
    return ours.sort((one, other) => one.start - other.start);
  }
}

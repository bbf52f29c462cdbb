/** What a canary's pods reported, pair by pair, by the clock of the command. */
import { type Attempt, type PodLine, RESULTS, type Target } from './report-line.ts';

interface ObservedPod {
  /** By the pod's clock, when it wrote its last line. */
  now: number;
  readonly targets: readonly Target[];
  /** The pod's clock less ours, in ms: at most what it is, by the quickest line so far. */
  offset: number;
  nextLine: number;
}

/**
 * No clocks are compared, neither the nodes' nor the API server's. A pod gives times in ms since it started. A line that says "it is now p" and arrives at
 * our c shows that p is past: the pod's clock is at least p - c ahead of ours, and the largest such difference is the nearest to what it is. So a
 * pod's times are taken to be later than they were by the way of its quickest line, some ms, and never earlier: what took its time took no longer than is said.
 */
export class Observations {
  readonly #pods = new Map<string, ObservedPod>();
  readonly #attempts = new Map<string, { readonly pod: ObservedPod; readonly list: Attempt[] }>();

  /** @param targets in the order in which the pod was given them */
  expect(pod: string, targets: readonly Target[]): void {
    const observed = { now: 0, targets, offset: Number.NEGATIVE_INFINITY, nextLine: 0 };
    this.#pods.set(pod, observed);
    for (const { id } of targets) this.#attempts.set(id, { pod: observed, list: [] });
  }

  /** @param arrival in ms of our clock */
  add(pod: string, { line, now, attempts }: PodLine, arrival: number): void {
    const observed = this.#pods.get(pod);
    // A log that is read again begins with what is known.
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

  /** Until when, in ms of our clock, the attempts of a pair that have ended are known. */
  heardUntil(pair: string): number {
    const { pod } = this.#attempts.get(pair) ?? {};
    return pod === undefined ? Number.NEGATIVE_INFINITY : pod.now - pod.offset;
  }

  /** When the program of the pod that probes started, in ms of our clock. */
  startOf(pair: string): number {
    return -(this.#attempts.get(pair)?.pod.offset ?? 0);
  }

  /** Attempts of a pair that have ended, by their start, in ms of our clock. */
  of(pair: string): Attempt[] {
    const { pod, list } = this.#attempts.get(pair) ?? {};
    if (pod === undefined || list === undefined) return [];
    const ours = list.map(({ start, end, result }) => ({ start: start - pod.offset, end: end - pod.offset, result }));
    return ours.sort((one, other) => one.start - other.start);
  }
}

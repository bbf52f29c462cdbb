/** A canary's pods: creates them, waits until they run, and follows their logs. */
import { type Clock, wait } from '../kube/clock.ts';
import type { CanaryNamespace } from './canary-namespace.ts';
import { CanaryError } from './error.ts';
import { type ImageChoice, isServer, podObject } from './objects.ts';
import type { Observations } from './observations.ts';
import { type CanaryPod, PORT } from './plan.ts';
import { type PodObject, podState } from './pod-state.ts';
import type { CanaryProgress } from './progress.ts';
import { parsePodLine, type Target } from './report-line.ts';

/** Milliseconds between two checks on starting pods. */
const POD_LOOK = 400;

export interface PodOptions extends ImageChoice {
  /** Milliseconds that pods may take to start. */
  readonly startLimit: number;
  /** Milliseconds after which pods end by themselves. */
  readonly podLifetime: number;
}

export class CanaryPods {
  readonly #namespace: CanaryNamespace;
  readonly #observations: Observations;
  readonly #options: PodOptions;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #onProgress: (progress: CanaryProgress) => void;
  /** Ends the reading of logs. */
  readonly #done = new AbortController();
  /** The last line that each pod wrote that is not a report. */
  readonly #lastWords = new Map<string, string>();
  /** Why each pod's log was last unreadable; cleared when a line arrives. */
  readonly #logTroubles = new Map<string, string>();
  #failure: unknown;

  /** @param signal ends the run, with its reason */
  constructor(
    namespace: CanaryNamespace,
    observations: Observations,
    options: PodOptions,
    clock: Clock,
    signal: AbortSignal,
    onProgress: (progress: CanaryProgress) => void,
  ) {
    this.#namespace = namespace;
    this.#observations = observations;
    this.#options = options;
    this.#clock = clock;
    this.#signal = signal;
    this.#onProgress = onProgress;
  }

  /**
   * Creates pods and waits until each has reported.
   * @param total number of all pods, for the progress
   * @param before number of pods that were started earlier, for the progress
   * @returns the pods as the API server lists them
   */
  async start(
    pods: readonly CanaryPod[],
    targetsFor: (pod: CanaryPod) => readonly Target[],
    total: number,
    before: number,
  ): Promise<readonly PodObject[]> {
    const { podLifetime, startLimit, image } = this.#options;
    this.#onProgress({ step: 'start', done: before, total });
    await Promise.all(pods.map((pod) => this.#createPod(pod, targetsFor(pod), podLifetime)));
    const names = new Set(pods.map(({ name }) => name));
    const followed = new Set<string>();
    const givenUp = this.#clock.now() + startLimit;
    while (true) {
      const seen = (await this.#namespace.pods(this.#signal)).filter(({ metadata }) => names.has(metadata.name));
      const waiting: string[] = [];
      for (const pod of seen) {
        const { name } = pod.metadata;
        const { state, reason } = podState(pod, image);
        if (state !== 'pending' && !followed.has(name)) {
          followed.add(name);
          this.#follow(name);
        }
        if (state === 'hopeless') throw new CanaryError(await this.#withLastWords(name, reason));
        if (!this.#observations.hasReported(name)) waiting.push(reason || this.#silenceOf(name));
      }
      this.#throwFailure();
      this.#onProgress({ step: 'start', done: before + pods.length - waiting.length, total });
      if (waiting.length === 0 && seen.length === pods.length) return seen;
      if (this.#clock.now() > givenUp) {
        throw new CanaryError(
          `pods did not start within ${Math.round(startLimit / 1000)} s: ${waiting[0] ?? 'the API server does not list them'}`,
        );
      }
      await this.pause(POD_LOOK);
    }
  }

  async #createPod(pod: CanaryPod, targets: readonly Target[], lifetime: number): Promise<void> {
    this.#observations.expect(pod.name, targets);
    const task = isServer(pod.role) ? { listen: PORT, targets } : { targets };
    await this.#namespace.createPod(podObject(pod, task, this.#options, Math.ceil(lifetime / 1000)), this.#signal);
  }

  #follow(pod: string): void {
    const take = (text: string) => {
      const arrival = this.#clock.now();
      this.#logTroubles.delete(pod);
      const line = parsePodLine(text);
      if (line !== undefined) this.#observations.add(pod, line, arrival);
      else if (text.trim() !== '') this.#lastWords.set(pod, text.trim().slice(0, 300));
    };
    const note = (reason: string) => this.#logTroubles.set(pod, reason);
    this.#namespace.followLog(pod, this.#done.signal, take, note).catch((error: unknown) => {
      this.#failure ??= error;
    });
  }

  #silenceOf(pod: string): string {
    const trouble = this.#logTroubles.get(pod);
    return `pod ${pod} runs but has not reported yet${trouble === undefined ? '' : `: its log cannot be read: ${trouble}`}`;
  }

  async #withLastWords(pod: string, reason: string): Promise<string> {
    // The log of a pod that ended is available at once.
    await this.pause(POD_LOOK * 2);
    const words = this.#lastWords.get(pod);
    return words === undefined ? reason : `${reason}: ${words}`;
  }

  /** Waits. Throws the signal's reason, or the error that ended the reading of a log. */
  async pause(milliseconds: number): Promise<void> {
    await wait(this.#clock, milliseconds, this.#signal);
    this.#signal.throwIfAborted();
    this.#throwFailure();
  }

  /** Ends the reading of logs. */
  close(): void {
    this.#done.abort();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** The course of a canary: pods start and connect, policies isolate them, a new pod comes, the policies go, and all that was seen is judged. */
import { type Clock, wait } from '../kube/clock.ts';
import { LIMIT } from './attempts.ts';
import type { CanaryNamespace } from './canary-namespace.ts';
import { CanaryError } from './error.ts';
import {
  DENIED,
  type Isolation,
  isConnected,
  isDenied,
  judgeAllowed,
  judgeDenied,
  judgeHeld,
  judgeNewPod,
  type Witness,
} from './judgement.ts';
import { chooseNodes } from './nodes.ts';
import { type ImageChoice, isServer, POLICIES, type PolicyName, podObject } from './objects.ts';
import { Observations } from './observations.ts';
import { type CanaryPod, type Family, makePlan, type Pair, type Plan, PORT, selfPairs } from './plan.ts';
import { addressesOf, type PodObject, podState } from './pod-state.ts';
import { parsePodLine, type Target, targetOf } from './report-line.ts';
import type { CanaryResult } from './result.ts';
import { isWorthAnother, mergeRounds } from './rounds.ts';

/** Milliseconds between two looks at what was observed, and between two looks at pods that start. */
const LOOK = 100;
const POD_LOOK = 400;
/** Attempts in a row without an answer until a new pod is taken to be denied: it makes fifty in a second. */
const NEW_POD_DENIED = 50;
/** What was answered so many ms before a round begins shows that a pair is connected in it. */
const RECENT = 2_000;
/** A cluster that is too busy for three rounds is too busy. */
const MOST_ROUNDS = 3;
/** How long a denial is watched at least, in ms, from when all are denied. Attempts that end after the deletion do not count. */
const HOLD = LIMIT + 2_000;

export interface CanaryOptions extends ImageChoice {
  /** Nodes to run on, at most two. @default the first two that take pods */
  readonly nodes: readonly string[];
  /** Milliseconds that a policy may take to come into force, and to go. */
  readonly within: number;
  /** Milliseconds that pods may take to start. */
  readonly startLimit: number;
  /** Milliseconds that all of it may take; it decides on another round, and nothing else. */
  readonly limit: number;
  /** Milliseconds after which pods end by themselves. */
  readonly podLifetime: number;
}

export type CanaryStep = 'start' | 'connect' | 'isolate' | 'hold' | 'open' | 'judge';

export interface CanaryProgress {
  readonly step: CanaryStep;
  readonly done: number;
  readonly total: number;
}

export class Canary {
  readonly #namespace: CanaryNamespace;
  readonly #options: CanaryOptions;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #onProgress: (progress: CanaryProgress) => void;
  readonly #observations = new Observations();
  /** Ends the reading of logs. */
  readonly #done = new AbortController();
  /** What a pod wrote that was no report. */
  readonly #lastWords = new Map<string, string>();
  /** Why new pods were not tried. */
  #noNewPods: string | undefined;
  #failure: unknown;

  /** @param signal ends the run, by its reason */
  constructor(
    namespace: CanaryNamespace,
    options: CanaryOptions,
    clock: Clock,
    signal: AbortSignal,
    onProgress: (progress: CanaryProgress) => void,
  ) {
    this.#namespace = namespace;
    this.#options = options;
    this.#clock = clock;
    this.#signal = signal;
    this.#onProgress = onProgress;
  }

  /**
   * To be called once. The namespace is there afterwards, however this ends.
   * @param onNamespace is called when nodes are chosen, before anything is made
   * @throws CanaryError where nothing can be proved; the signal's reason
   */
  async run(onNamespace: (nodes: readonly string[]) => void): Promise<CanaryResult> {
    const began = this.#clock.now();
    try {
      const nodes = chooseNodes(await this.#namespace.nodes(this.#signal), this.#options.nodes);
      onNamespace(nodes);
      await this.#namespace.create(this.#signal);
      const { plan, addresses, families } = await this.#startServers(nodes);
      await this.#startPods(plan.clients, (pod) => targetsOf(plan, pod, addresses), plan.clients.length + 2, 2);
      return await this.#rounds(nodes, families, addresses, began + this.#options.limit);
    } finally {
      this.#done.abort();
    }
  }

  /** @param end when the whole run must be over: no round is begun that would not be done by then */
  async #rounds(
    nodes: readonly string[],
    families: readonly Family[],
    addresses: Addresses,
    end: number,
  ): Promise<CanaryResult> {
    let result: CanaryResult | undefined;
    while (true) {
      const began = this.#clock.now();
      const plan = makePlan(nodes, families, (result?.rounds ?? 0) + 1);
      const times = await this.#isolate(plan, addresses, result === undefined);
      const round = { nodes, families, rounds: 1, ...this.#judge(plan, times) };
      result = result === undefined ? round : mergeRounds(result, round);
      const now = this.#clock.now();
      if (result.rounds === MOST_ROUNDS || !isWorthAnother(result) || now + (now - began) * 1.5 > end) return result;
    }
  }

  async #startServers(nodes: readonly string[]) {
    const { servers, clients } = makePlan(nodes, [], 1);
    const self = (pod: CanaryPod) => selfPairs(pod.name).map((pair) => targetOf(pair, PORT));
    const pods = await this.#startPods(servers, self, servers.length + clients.length, 0);
    const addresses = new Map(pods.map((pod) => [pod.metadata.name, addressesOf(pod)]));
    const families = (['IPv4', 'IPv6'] as const).filter((family) =>
      [...addresses.values()].every((each) => each[family] !== undefined),
    );
    return { plan: makePlan(nodes, families, 1), addresses, families };
  }

  /**
   * Creates pods and waits until each has reported.
   * @param total of all pods, and `before` of those that were started before: for the progress
   * @returns the pods as the API server has them
   */
  async #startPods(
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
        if (!this.#observations.hasReported(name)) waiting.push(reason || `pod ${name} runs and has not reported yet`);
      }
      this.#throwFailure();
      this.#onProgress({ step: 'start', done: before + pods.length - waiting.length, total });
      if (waiting.length === 0 && seen.length === pods.length) return seen;
      if (this.#clock.now() > givenUp) {
        throw new CanaryError(
          `pods did not start within ${Math.round(startLimit / 1000)} s: ${waiting[0] ?? 'they are not there'}`,
        );
      }
      await this.#pause(POD_LOOK);
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
      const line = parsePodLine(text);
      if (line !== undefined) this.#observations.add(pod, line, arrival);
      else if (text.trim() !== '') this.#lastWords.set(pod, text.trim().slice(0, 300));
    };
    this.#namespace.followLog(pod, this.#done.signal, take).catch((error: unknown) => {
      this.#failure ??= error;
    });
  }

  async #withLastWords(pod: string, reason: string): Promise<string> {
    // The log of a pod that has ended is there at once.
    await this.#pause(POD_LOOK * 2);
    const words = this.#lastWords.get(pod);
    return words === undefined ? reason : `${reason}: ${words}`;
  }

  async #isolate(plan: Plan, addresses: Addresses, isFirst: boolean): Promise<Times> {
    const { within } = this.#options;
    // What was cut in one round is not open in the next.
    const pairs = plan.pairs.filter(
      ({ from, held }) => (isFirst || !held) && !plan.newcomers.some(({ name }) => name === from),
    );
    const denied = plan.checks.map((check) => check.denied);
    const connected = (from: number) => (pair: Pair) => isConnected(this.#observations.of(pair.id), from);
    await this.#until('connect', pairs, connected(this.#clock.now() - RECENT), within);

    const open = this.#clock.now();
    const created = await this.#change((policy) => this.#namespace.createPolicy(policy, this.#signal));
    const isHeldOff = (pair: Pair) => isDenied(this.#observations.of(pair.id), created.answered, DENIED);
    const isolated = await this.#until('isolate', denied, isHeldOff, within);
    const newPairs = plan.newPods.map(({ pair }) => pair);
    this.#noNewPods = undefined;
    if (isolated === 0) this.#noNewPods = 'no policy came into force';
    else await this.#holdAndStartNewPods(plan, addresses, newPairs, created.answered);

    const removed = await this.#change((policy) => this.#namespace.deletePolicy(policy, this.#signal));
    const wereStarted = isolated > 0 && this.#noNewPods === undefined;
    await this.#until('open', wereStarted ? [...denied, ...newPairs] : denied, connected(removed.answered), within);
    const over = this.#clock.now();
    // What the witnesses asked until now is to be answered, or not.
    const hasEnded = (pair: Pair) => this.#observations.heardUntil(pair.id) >= over + LIMIT;
    await this.#until('judge', pairs, hasEnded, within);
    const timesOf = (policy: PolicyName): Isolation => ({
      open,
      asked: created.asked,
      answered: created.answers[policy],
      removalAsked: removed.asked,
      removalAnswered: removed.answers[policy],
      over,
    });
    return { ingress: timesOf('ingress'), egress: timesOf('egress'), newcomer: timesOf('newcomer') };
  }

  async #holdAndStartNewPods(plan: Plan, addresses: Addresses, pairs: readonly Pair[], from: number): Promise<void> {
    const held = this.#clock.now() + HOLD;
    try {
      await this.#startPods(plan.newcomers, (pod) => targetsOf(plan, pod, addresses), plan.newcomers.length, 0);
    } catch (error) {
      // What was seen of the others counts all the same.
      if (!(error instanceof CanaryError)) throw error;
      this.#noNewPods = error.message;
      return;
    }
    const isHeldOff = (pair: Pair) => isDenied(this.#observations.of(pair.id), from, NEW_POD_DENIED);
    await this.#until('hold', pairs, isHeldOff, this.#options.within);
    await this.#pause(held - this.#clock.now());
  }

  /** Changes all policies at once, and notes when that was asked for and answered. */
  async #change(act: (policy: (typeof POLICIES)[PolicyName]) => Promise<void>) {
    const asked = this.#clock.now();
    const names = Object.keys(POLICIES) as PolicyName[];
    const moments = await Promise.all(
      names.map(async (name) => {
        await act(POLICIES[name]);
        return [name, this.#clock.now()] as const;
      }),
    );
    const answers = Object.fromEntries(moments) as Record<PolicyName, number>;
    return { asked, answers, answered: Math.max(...Object.values(answers)) };
  }

  /** Waits until all pairs pass the test, or the time is over. Gives back how many do. */
  async #until(
    step: CanaryStep,
    pairs: readonly Pair[],
    test: (pair: Pair) => boolean,
    limit: number,
  ): Promise<number> {
    const givenUp = this.#clock.now() + limit;
    while (true) {
      const done = pairs.filter(test).length;
      this.#onProgress({ step, done, total: pairs.length });
      if (done === pairs.length || this.#clock.now() > givenUp) return done;
      await this.#pause(LOOK);
    }
  }

  async #pause(milliseconds: number): Promise<void> {
    await wait(this.#clock, milliseconds, this.#signal);
    this.#signal.throwIfAborted();
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #judge({ checks, newPods }: Plan, times: Times): Pick<CanaryResult, 'checks' | 'newPods'> {
    const of = ({ id }: Pair) => this.#observations.of(id);
    const witnessesOf = (pairs: readonly Pair[]): Witness[] =>
      pairs.map((pair) => ({ name: nameOf(pair), attempts: of(pair) }));
    return {
      checks: checks.map((check) => {
        const witnesses = witnessesOf(check.witnesses);
        const isolation = times[check.direction];
        return {
          check,
          denied: judgeDenied(of(check.denied), isolation, witnesses),
          deniedHeld: judgeHeld(of(check.deniedHeld), isolation),
          allowed: judgeAllowed(of(check.allowed), isolation, witnessesOf(check.allowedWitnesses)),
          allowedHeld: judgeHeld(of(check.allowedHeld), isolation),
        };
      }),
      newPods: newPods.map((check) => ({
        check,
        outcome:
          this.#noNewPods === undefined
            ? judgeNewPod(
                of(check.pair),
                this.#observations.startOf(check.pair.id),
                times.newcomer,
                witnessesOf(check.witnesses),
              )
            : { outcome: 'not proved', reason: this.#noNewPods },
      })),
    };
  }
}

type Times = Readonly<Record<PolicyName, Isolation>>;
type Addresses = ReadonlyMap<string, ReturnType<typeof addressesOf>>;

function targetsOf({ pairs }: Plan, { name }: CanaryPod, addresses: Addresses): readonly Target[] {
  const own = pairs.filter(({ from }) => from === name);
  return own.map((pair) => targetOf(pair, PORT, addresses.get(pair.to)?.[pair.family] ?? ''));
}

function nameOf({ from, to, protocol, family }: Pair): string {
  const way = from === to ? `${to}, which probes itself by` : `the control pair (${from} to ${to}) by`;
  return `${way} ${protocol} and ${family}`;
}

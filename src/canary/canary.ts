/**
 * One canary run: pods start and connect, policies isolate them, a new pod starts, the policies are
 * deleted, and the observations are judged.
 */
import type { Clock } from '../kube/clock.ts';
import type { CanaryNamespace } from './canary-namespace.ts';
import { CanaryPods, type PodOptions } from './canary-pods.ts';
import { CanaryError } from './error.ts';
import {
  type Isolation,
  judgeAllowed,
  judgeDenied,
  judgeHeld,
  judgeNewPod,
  type NotProved,
  type Witness,
} from './judgement.ts';
import { chooseNodes } from './nodes.ts';
import { POLICIES, type PolicyName } from './objects.ts';
import { Observations } from './observations.ts';
import { type CanaryPod, type Family, makePlan, type Pair, type Plan, PORT, selfPairs } from './plan.ts';
import { addressesOf } from './pod-state.ts';
import type { CanaryProgress, CanaryStep } from './progress.ts';
import { LIMIT, type Target, targetOf } from './report-line.ts';
import type { CanaryResult } from './result.ts';
import { isWorthAnother, mergeRounds } from './rounds.ts';
import { DENIED, isAnswered, isConnected, isDenied } from './series.ts';

/** Milliseconds between two looks at the observations. */
const LOOK = 100;
/**
 * A new pod counts as denied after this many unanswered attempts in a row; it makes 50 a second.
 */
const NEW_POD_DENIED = 50;
/** Milliseconds: a pair counts as connected in a round if it was answered this shortly before. */
const RECENT = 2_000;
/** After three rounds, the cluster is too busy to prove anything. */
const MOST_ROUNDS = 3;
/**
 * Milliseconds: how long policies are watched at least, once they are in force. Allowed pairs are
 * judged by the attempts that had their full time before the deletion: sixteen of them.
 */
const HOLD = LIMIT + 4_000;

export interface CanaryOptions extends PodOptions {
  /** Nodes to run on, at most two. @default the first two that take pods */
  readonly nodes: readonly string[];
  /** Milliseconds that a policy may take to come into force, and to be lifted. */
  readonly within: number;
  /** Milliseconds that the run may take. Only decides whether another round starts. */
  readonly limit: number;
}

export class Canary {
  readonly #namespace: CanaryNamespace;
  readonly #options: CanaryOptions;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #onProgress: (progress: CanaryProgress) => void;
  readonly #observations = new Observations();
  readonly #pods: CanaryPods;
  /** Why no new pods were tried. */
  #noNewPods: string | undefined;
  /** The merged result of the finished rounds. */
  #result: CanaryResult | undefined;
  /** The current round. */
  #round: { readonly nodes: readonly string[]; readonly families: readonly Family[]; readonly plan: Plan } | undefined;
  /** When the API server answered the creation of the current round's policies. */
  #answered: number | undefined;

  /** @param signal ends the run, with its reason */
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
    this.#pods = new CanaryPods(namespace, this.#observations, options, clock, signal, onProgress);
  }

  /**
   * Runs the canary; call it once. The namespace still exists afterwards, however the run ends.
   * @param onNamespace called when the nodes are chosen, before anything is created
   * @throws CanaryError if nothing can be proved, or the signal's reason
   */
  async run(onNamespace: (nodes: readonly string[]) => void): Promise<CanaryResult> {
    const began = this.#clock.now();
    try {
      const nodes = chooseNodes(await this.#namespace.nodes(this.#signal), this.#options.nodes);
      onNamespace(nodes);
      await this.#namespace.create(this.#signal);
      const { plan, addresses, families } = await this.#startServers(nodes);
      await this.#pods.start(plan.clients, (pod) => targetsOf(plan, pod, addresses), plan.clients.length + 2, 2);
      return await this.#rounds(nodes, families, addresses, began + this.#options.limit);
    } finally {
      this.#pods.close();
    }
  }

  /** @param end when the whole run must be over: a round that would end later is not started */
  async #rounds(
    nodes: readonly string[],
    families: readonly Family[],
    addresses: Addresses,
    end: number,
  ): Promise<CanaryResult> {
    while (true) {
      const began = this.#clock.now();
      const plan = makePlan(nodes, families, (this.#result?.rounds ?? 0) + 1);
      this.#round = { nodes, families, plan };
      const times = await this.#isolate(plan, addresses, this.#result === undefined);
      const round = { nodes, families, rounds: 1, ...this.#judge(plan, times) };
      const result = this.#result === undefined ? round : mergeRounds(this.#result, round);
      this.#result = result;
      const now = this.#clock.now();
      if (result.rounds === MOST_ROUNDS || !isWorthAnother(result) || now + (now - began) * 1.5 > end) return result;
    }
  }

  /**
   * Returns the observations of a run that was cut short; they prove nothing. Undefined if no round
   * had begun.
   */
  soFar(): CanaryResult | undefined {
    if (this.#result !== undefined || this.#round === undefined) return this.#result;
    const { nodes, families, plan } = this.#round;
    const unknown = { outcome: 'not known' } as const;
    return {
      nodes,
      families,
      rounds: 1,
      checks: plan.checks.map((check) => ({
        check,
        denied: this.#unproved(check.denied),
        deniedHeld: unknown,
        allowed: this.#unproved(check.allowed),
        allowedHeld: unknown,
      })),
      newPods: plan.newPods.map((check) => ({ check, outcome: this.#unproved(check.pair) })),
    };
  }

  #unproved({ id }: Pair): NotProved {
    const answered = this.#answered;
    if (answered === undefined)
      return { outcome: 'not proved', reason: 'time ran out before the policies were created' };
    const during = this.#observations.of(id).filter(({ start }) => start >= answered);
    const answers = during.filter(isAnswered).length;
    const reason = `time ran out: up to then, with the policies in place, ${answers} of ${during.length} attempts were answered`;
    return { outcome: 'not proved', reason };
  }

  async #startServers(nodes: readonly string[]) {
    const { servers, clients } = makePlan(nodes, [], 1);
    const self = (pod: CanaryPod) => selfPairs(pod.name).map((pair) => targetOf(pair, PORT));
    const pods = await this.#pods.start(servers, self, servers.length + clients.length, 0);
    const addresses = new Map(pods.map((pod) => [pod.metadata.name, addressesOf(pod)]));
    const families = (['IPv4', 'IPv6'] as const).filter((family) =>
      [...addresses.values()].every((each) => each[family] !== undefined),
    );
    return { plan: makePlan(nodes, families, 1), addresses, families };
  }

  async #isolate(plan: Plan, addresses: Addresses, isFirst: boolean): Promise<Times> {
    const { within } = this.#options;
    // Wait for held connections in the first round only: a round may cut them.
    const pairs = plan.pairs.filter(
      ({ from, held }) => (isFirst || !held) && !plan.newcomers.some(({ name }) => name === from),
    );
    const denied = plan.checks.map((check) => check.denied);
    const connected = (from: number) => (pair: Pair) => isConnected(this.#observations.of(pair.id), from);
    await this.#until('connect', pairs, connected(this.#clock.now() - RECENT), within);

    const open = this.#clock.now();
    const created = await this.#change((policy) => this.#namespace.createPolicy(policy, this.#signal));
    this.#answered = created.answered;
    const isHeldOff = (pair: Pair) => isDenied(this.#observations.of(pair.id), created.answered, DENIED);
    const isolated = await this.#until('isolate', denied, isHeldOff, within);
    const inForce = isolated === 0 ? created.answered : this.#clock.now();
    const newPairs = plan.newPods.map(({ pair }) => pair);
    this.#noNewPods = undefined;
    if (isolated === 0) this.#noNewPods = 'no policy came into force';
    else {
      await this.#startNewPods(plan, addresses, newPairs, created.answered);
      await this.#pods.pause(inForce + HOLD - this.#clock.now());
    }

    const removed = await this.#change((policy) => this.#namespace.deletePolicy(policy, this.#signal));
    const isolatedPairs = plan.checks.flatMap((check) => [check.denied, check.allowed]);
    const started = this.#noNewPods === undefined ? newPairs : [];
    await this.#until('open', [...isolatedPairs, ...started], connected(removed.answered), within);
    const over = this.#clock.now();
    // Wait until the attempts that witnesses started before now have ended.
    const hasEnded = (pair: Pair) => this.#observations.heardUntil(pair.id) >= over + LIMIT;
    await this.#until('judge', pairs, hasEnded, within);
    const timesOf = (policy: PolicyName): Isolation => ({
      open,
      asked: created.asked,
      answered: created.answers[policy],
      inForce,
      removalAsked: removed.asked,
      removalAnswered: removed.answers[policy],
      over,
    });
    return { ingress: timesOf('ingress'), egress: timesOf('egress'), newcomer: timesOf('newcomer') };
  }

  async #startNewPods(plan: Plan, addresses: Addresses, pairs: readonly Pair[], from: number): Promise<void> {
    try {
      await this.#pods.start(plan.newcomers, (pod) => targetsOf(plan, pod, addresses), plan.newcomers.length, 0);
    } catch (error) {
      // The observations of the other pods count all the same.
      if (!(error instanceof CanaryError)) throw error;
      this.#noNewPods = error.message;
      return;
    }
    const isHeldOff = (pair: Pair) => isDenied(this.#observations.of(pair.id), from, NEW_POD_DENIED);
    await this.#until('hold', pairs, isHeldOff, this.#options.within);
  }

  /** Changes all policies at once. Returns when that was requested, and when it was answered. */
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

  /** Waits until all pairs pass the test or the time is up. Returns how many pass. */
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
      await this.#pods.pause(LOOK);
    }
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

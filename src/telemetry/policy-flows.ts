/**
 * Flows by policy: a bounded number of policies have series of their own, and all others share one.
 */
import type { PolicyFlowCount } from '../flows/policy-flow-counter.ts';

/** Most policies with series of their own, three for each. @default 500 */
export const DEFAULT_POLICY_CAP = 500;

/**
 * The series of all other policies. No policy has this name: its namespace is empty, which
 * Kubernetes does not allow.
 */
const OTHER = { namespace: '', name: 'other' } as const;

/** Flows by verdict. */
type Counts = Pick<PolicyFlowCount, 'allowed' | 'denied' | 'wouldBeDenied'>;
const NONE: Counts = { allowed: 0, denied: 0, wouldBeDenied: 0 };

interface Policy {
  readonly namespace: string;
  readonly name: string;
  /** The agent's counts at the last update. */
  counted: Counts;
  /**
   * Counts in the policy's own series. What it counted before it had one is in the shared series.
   */
  series: Counts;
}

interface Growth {
  readonly policy: Policy;
  readonly by: Counts;
}

/**
 * At most `cap` policies have series of their own: those whose flows grew last. When another one
 * grows, the series that has been idle longest ends, and its counts move to the shared series. So
 * no series ever falls, no flow is in two series, and their sum is the sum of all flows, those of
 * deleted policies included.
 */
export class BoundedPolicyFlows {
  readonly #cap: number;
  readonly #policies = new Map<string, Policy>();
  /** Policies with series of their own, the one idle longest first. */
  readonly #own = new Set<Policy>();
  #others = NONE;

  constructor(cap: number = DEFAULT_POLICY_CAP) {
    this.#cap = cap;
  }

  /**
   * Takes the agent's current counts and returns the series. It forgets policies that are not in
   * them any more.
   */
  update(counted: Iterable<PolicyFlowCount>): PolicyFlowCount[] {
    const gone = new Set(this.#policies.keys());
    const grown = new Set<Policy>();
    const newcomers: Growth[] = [];
    for (const flows of counted) {
      const key = `${flows.namespace}/${flows.name}`;
      gone.delete(key);
      const growth = this.#growth(key, flows);
      if (isNothing(growth.by)) continue;
      grown.add(growth.policy);
      if (this.#own.delete(growth.policy)) this.#grow(growth);
      else newcomers.push(growth);
    }
    for (const key of gone) this.#forget(key);
    // After the series that exist have grown, so that no newcomer replaces one of those that grew.
    for (const newcomer of newcomers) this.#admit(newcomer, grown);
    const own = [...this.#own].map(({ namespace, name, series }) => ({ namespace, name, ...series }));
    return [...own, { ...OTHER, ...this.#others }];
  }

  #growth(key: string, counted: PolicyFlowCount): Growth {
    const { namespace, name } = counted;
    let policy = this.#policies.get(key);
    if (policy === undefined) {
      policy = { namespace, name, counted: NONE, series: NONE };
      this.#policies.set(key, policy);
    }
    const by = combined(policy.counted, counted, difference);
    policy.counted = counted;
    return { policy, by };
  }

  #grow({ policy, by }: Growth): void {
    this.#own.add(policy);
    policy.series = combined(policy.series, by, sum);
  }

  #admit(newcomer: Growth, grown: ReadonlySet<Policy>): void {
    const [oldest] = this.#own;
    if (this.#own.size >= this.#cap) {
      if (oldest === undefined || grown.has(oldest)) {
        this.#others = combined(this.#others, newcomer.by, sum);
        return;
      }
      this.#endSeries(oldest);
    }
    this.#grow(newcomer);
  }

  #forget(key: string): void {
    const policy = this.#policies.get(key);
    if (policy === undefined) return;
    this.#policies.delete(key);
    if (this.#own.has(policy)) this.#endSeries(policy);
  }

  #endSeries(policy: Policy): void {
    this.#own.delete(policy);
    this.#others = combined(this.#others, policy.series, sum);
    policy.series = NONE;
  }
}

function combined(a: Counts, b: Counts, combine: (a: number, b: number) => number): Counts {
  return {
    allowed: combine(a.allowed, b.allowed),
    denied: combine(a.denied, b.denied),
    wouldBeDenied: combine(a.wouldBeDenied, b.wouldBeDenied),
  };
}

function isNothing({ allowed, denied, wouldBeDenied }: Counts): boolean {
  return allowed === 0 && denied === 0 && wouldBeDenied === 0;
}

function sum(a: number, b: number): number {
  return a + b;
}

/**
 * A count that fell has started anew: the policy was deleted and created again between two scrapes.
 */
function difference(before: number, now: number): number {
  return now < before ? now : now - before;
}

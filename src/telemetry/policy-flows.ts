/** Flows by policy, for as many policies as one may want series of, and one series for all others. */
import type { PolicyFlowCount } from '../flows/policy-flow-counter.ts';

/** Policies with series of their own, each with three. @default 500 */
export const DEFAULT_POLICY_CAP = 500;

/** The name of the series for all other policies. No policy has it: its namespace is empty, as no Kubernetes namespace is. */
const OTHER = { namespace: '', name: 'other' } as const;

/** Flows by what became of them. */
type Counts = Pick<PolicyFlowCount, 'allowed' | 'denied' | 'wouldBeDenied'>;
const NONE: Counts = { allowed: 0, denied: 0, wouldBeDenied: 0 };

interface Policy {
  readonly namespace: string;
  readonly name: string;
  /** As the agent counted them last. */
  counted: Counts;
  /** In the series of the policy; what it counted before it had one is in the series of the others. */
  series: Counts;
}

interface Growth {
  readonly policy: Policy;
  readonly by: Counts;
}

/**
 * At most `cap` policies have series: those whose flows grew last. Where another one grows, the series that did not grow for the longest time ends,
 * and what it counted goes to the series of the others. So no series ever falls, no flow is counted in two, and the sum of all is the sum of all
 * flows, of deleted policies too.
 */
export class BoundedPolicyFlows {
  readonly #cap: number;
  readonly #policies = new Map<string, Policy>();
  /** Those with series, the one that did not grow for the longest time first. */
  readonly #own = new Set<Policy>();
  #others = NONE;

  constructor(cap: number = DEFAULT_POLICY_CAP) {
    this.#cap = cap;
  }

  /** Takes what the agent has counted up to now; policies that are not in it any more are forgotten. Gives back the series. */
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
    // Not before all series that grow have grown: none of them gives way to another.
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

/** A count that fell has begun again: a policy that was deleted and created anew between two scrapes. */
function difference(before: number, now: number): number {
  return now < before ? now : now - before;
}

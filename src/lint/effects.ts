/** Finds rules and policies without effect. */
import { formatPath, type Path } from '../cluster/field.ts';
import type { Direction, PolicyPeer, PolicyRecord, PolicyRule } from '../cluster/records.ts';
import { selectorKey } from '../cluster/selector.ts';
import type { Allowances } from './allowances.ts';
import type { Mistake } from './finding.ts';
import type { KnownCluster } from './known-cluster.ts';
import { peerList } from './peers.ts';
import { selectorCovers } from './selector-cover.ts';

/** The most rules of one direction that are compared with each other. */
const MANY_RULES = 500;
/** The most entries of one list that are compared with each other. */
const MANY_ENTRIES = 200;
/** Limit on the number of entries times that of their blocks and excepts: the cost of comparing. */
const MANY_COMPARISONS = 250_000;
/** The most policies of the same pods with which a policy is compared. */
const MANY_POLICIES = 100;

const BOTH: readonly Direction[] = ['ingress', 'egress'];

export class EffectRules {
  readonly #cluster: KnownCluster;
  readonly #allowances: Allowances;
  /** The order of policies: of two that say the same, the later one is superfluous. */
  readonly #rank: ReadonlyMap<PolicyRecord, number>;
  /** Covering policies, by namespace and selector. */
  readonly #wider = new Map<string, readonly PolicyRecord[]>();

  constructor(cluster: KnownCluster, allowances: Allowances, policies: readonly PolicyRecord[]) {
    this.#cluster = cluster;
    this.#allowances = allowances;
    this.#rank = new Map(policies.map((policy, index) => [policy, index]));
  }

  *mistakes(policy: PolicyRecord): Iterable<Mistake> {
    for (const direction of BOTH) {
      if (policy.isolates.includes(direction)) {
        yield* this.#auditedAllowance(policy, direction);
        yield* this.#shadowedRules(policy, direction);
        yield* this.#shadowedEntries(policy, direction);
      } else if (policy[direction].length > 0) {
        yield ignoredRules(policy, direction);
      }
    }
    yield* this.#withoutEffect(policy);
  }

  /** Finds allowances of an audited policy that an enforced one for the same pods makes void. */
  *#auditedAllowance(policy: PolicyRecord, direction: Direction): Iterable<Mistake> {
    if (policy[direction].length === 0 || this.#cluster.modeOf(policy) !== 'audit') return;
    const enforced = this.#coveringPolicies(policy).find(
      (other) => other.isolates.includes(direction) && this.#cluster.modeOf(other) === 'enforce',
    );
    if (enforced === undefined) return;
    yield {
      rule: 'audited-allowance',
      path: ['spec', direction],
      message: `does not count: policy ${policy.namespace}/${enforced.name}, which is enforced, isolates the same pods, so what only this policy allows is denied`,
      hint: 'Enforce both, or audit both.',
    };
  }

  /** Finds rules that another rule of the same policy covers. */
  *#shadowedRules({ namespace, ...policy }: PolicyRecord, direction: Direction): Iterable<Mistake> {
    const rules = policy[direction];
    for (const index of rules.keys()) {
      const wider = this.#widerRule(rules, index, namespace);
      if (wider < 0) continue;
      const path: Path = ['spec', direction];
      const message = `${formatPath([...path, wider])} allows everything that this rule allows`;
      yield {
        rule: 'shadowed-rule',
        path: [...path, index],
        message,
        hint: 'Remove one of the two, or narrow the wider one.',
      };
    }
  }

  /** Returns the index of a rule that shadows the one at `index`; -1 if there is none. */
  #widerRule(rules: readonly PolicyRule[], index: number, namespace: string): number {
    const rule = rules[index];
    if (rule === undefined || isTooMuch(rules, MANY_RULES, ruleWeight)) return -1;
    return rules.findIndex((other, at) => at !== index && this.#isWider(other, at, rule, index, namespace));
  }

  #isWider(other: PolicyRule, at: number, rule: PolicyRule, index: number, namespace: string): boolean {
    if (!this.#allowances.ruleCovers(other, rule, namespace)) return false;
    return at < index || !this.#allowances.ruleCovers(rule, other, namespace);
  }

  /** Finds entries that another entry of the same list covers. */
  *#shadowedEntries({ namespace, ...policy }: PolicyRecord, direction: Direction): Iterable<Mistake> {
    const allowances = this.#allowances;
    for (const [index, { peers, ports }] of policy[direction].entries()) {
      const path: Path = ['spec', direction, index];
      const isSplit = (at: number) =>
        peers[at]?.podSelector !== undefined && peers[at]?.namespaceSelector === undefined;
      for (const [at, wider] of shadowed(peers, peerWeight, (a, b) => allowances.peerCovers(a, b, namespace))) {
        // Reported as or-instead-of-and: two peers that were meant as one.
        if (isSplit(at) && peers[wider]?.namespaceSelector !== undefined) continue;
        const list = [...path, peerList(direction)];
        yield shadowedEntry([...list, at], `${formatPath([...list, wider])} matches everything that this peer matches`);
      }
      for (const [at, wider] of shadowed(
        ports,
        () => 1,
        (a, b) => allowances.portsCover([a], [b]),
      )) {
        const list = [...path, 'ports'];
        yield shadowedEntry([...list, at], `${formatPath([...list, wider])} includes all ports of this entry`);
      }
    }
  }

  /** Finds policies that add nothing to the other policies of their pods. */
  *#withoutEffect(policy: PolicyRecord): Iterable<Mistake> {
    const { namespace, podSelector, isolates } = policy;
    const rules = isolates.flatMap((direction) => policy[direction]);
    const others = this.#widerPolicies(policy);
    for (const other of others) {
      const isSame = selectorKey(other.podSelector) === selectorKey(podSelector);
      // A policy that only isolates prepares for later ones, unless it exists twice.
      if (rules.length === 0 && !(isSame && BOTH.every((direction) => other[direction].length === 0))) continue;
      if (!this.#allowsAllOf(other, policy)) continue;
      const isMutual = isSame && this.#allowsAllOf(policy, other);
      if (isMutual && this.#rankOf(other) > this.#rankOf(policy)) continue;
      const message = `policy ${namespace}/${other.name} selects ${isSame ? 'the same pods' : 'these pods as well'} and allows everything that this one allows`;
      const severity = isSame ? undefined : 'hint';
      yield {
        rule: 'policy-without-effect',
        path: [],
        message,
        hint: 'Remove one of the two, or narrow the wider one.',
        ...(severity && { severity }),
      };
      return;
    }
    if (rules.length > 0 && isolates.every((direction) => policy[direction].some(isOpen)) && this.#isAlone(policy)) {
      const message = 'it allows everything to pods that no other policy isolates';
      yield { rule: 'policy-without-effect', path: [], message, severity: 'info' };
    }
    yield* this.#shadowedByOthers(policy, others);
  }

  /**
   * Finds rules that a rule of another policy covers. Policies repeat each other's rules for good
   * reasons, to be complete by themselves, so this is info unless the other rule opens everything.
   */
  *#shadowedByOthers(policy: PolicyRecord, others: readonly PolicyRecord[]): Iterable<Mistake> {
    const { namespace, isolates } = policy;
    for (const direction of isolates) {
      for (const [index, rule] of policy[direction].entries()) {
        if (this.#widerRule(policy[direction], index, namespace) >= 0) continue;
        for (const other of others) {
          if (!other.isolates.includes(direction)) continue;
          const wider = other[direction].findIndex((each) => this.#allowances.ruleCovers(each, rule, namespace));
          const found = other[direction][wider];
          if (found === undefined) continue;
          // Of two rules that say the same, the later one is superfluous.
          const isSame =
            selectorCovers(policy.podSelector, other.podSelector) &&
            this.#allowances.ruleCovers(rule, found, namespace);
          if (isSame && this.#rankOf(other) > this.#rankOf(policy)) continue;
          const path: Path = ['spec', direction];
          const message = `${formatPath([...path, wider])} of policy ${namespace}/${other.name} allows everything that this rule allows`;
          yield { rule: 'shadowed-rule', path: [...path, index], message, severity: isOpen(found) ? 'hint' : 'info' };
          break;
        }
      }
    }
  }

  /** Returns other policies of the same mode that select at least the same pods. */
  #widerPolicies(policy: PolicyRecord): readonly PolicyRecord[] {
    // An audited policy allows nothing beside enforced ones.
    const mode = this.#cluster.modeOf(policy);
    return this.#coveringPolicies(policy).filter((other) => other !== policy && this.#cluster.modeOf(other) === mode);
  }

  /**
   * Returns the first MANY_POLICIES policies that select at least the same pods, this one included.
   */
  #coveringPolicies(policy: PolicyRecord): readonly PolicyRecord[] {
    const { namespace, podSelector } = policy;
    const key = `${namespace} ${selectorKey(podSelector)}`;
    let wider = this.#wider.get(key);
    if (wider === undefined) {
      wider = this.#cluster
        .policiesSelecting(namespace, labelsOf(policy))
        .filter((other) => other.error === undefined && selectorCovers(other.podSelector, podSelector))
        .sort((a, b) => this.#rankOf(a) - this.#rankOf(b))
        .slice(0, MANY_POLICIES);
      this.#wider.set(key, wider);
    }
    return wider;
  }

  #allowsAllOf(wide: PolicyRecord, narrow: PolicyRecord): boolean {
    return narrow.isolates.every(
      (direction) =>
        wide.isolates.includes(direction) &&
        narrow[direction].every((rule) =>
          wide[direction].some((other) => this.#allowances.ruleCovers(other, rule, narrow.namespace)),
        ),
    );
  }

  /** Whether no other policy of the namespace isolates in the same directions. */
  #isAlone(policy: PolicyRecord): boolean {
    const others = this.#cluster.policiesIn(policy.namespace);
    if (others.length > MANY_RULES) return false;
    return others.every((other) => other === policy || !other.isolates.some((each) => policy.isolates.includes(each)));
  }

  #rankOf(policy: PolicyRecord): number {
    return this.#rank.get(policy) ?? 0;
  }
}

/** Returns the labels that every pod of the policy must have. */
function labelsOf({ podSelector }: PolicyRecord): Readonly<Record<string, string>> {
  const single = podSelector.matchExpressions.flatMap(({ key, operator, values: [value, ...more] }) =>
    operator === 'In' && value !== undefined && more.length === 0 ? [[key, value] as const] : [],
  );
  return { ...Object.fromEntries(single), ...podSelector.matchLabels };
}

function isOpen({ peers, ports }: PolicyRule): boolean {
  return peers.length === 0 && ports.length === 0;
}

function ignoredRules({ isolates }: PolicyRecord, direction: Direction): Mistake {
  const type = direction === 'ingress' ? 'Ingress' : 'Egress';
  const types = isolates.map((each) => (each === 'ingress' ? 'Ingress' : 'Egress')).join(', ');
  return {
    rule: 'ignored-rules',
    path: ['spec', direction],
    message: `policyTypes has only ${types}: the ${direction} rules are ignored, and ${direction} stays open`,
    hint: `Add ${type} to policyTypes.`,
  };
}

function shadowedEntry(path: Path, message: string): Mistake {
  return { rule: 'shadowed-rule', path, message, hint: 'Remove one of the two.' };
}

/**
 * Returns the index of each covered entry, with that of an entry that covers it. Of equal entries
 * the later one counts as covered.
 */
function shadowed<T>(
  entries: readonly T[],
  weightOf: (entry: T) => number,
  covers: (wide: T, narrow: T) => boolean,
): readonly (readonly [number, number])[] {
  if (isTooMuch(entries, MANY_ENTRIES, weightOf)) return [];
  return entries.flatMap((entry, index) => {
    const wider = entries.findIndex(
      (other, at) => at !== index && covers(other, entry) && (at < index || !covers(entry, other)),
    );
    return wider < 0 ? [] : [[index, wider] as const];
  });
}

/** Whether comparing all pairs would take too long. */
function isTooMuch<T>(entries: readonly T[], most: number, weightOf: (entry: T) => number): boolean {
  if (entries.length > most) return true;
  return entries.length * entries.reduce((sum, entry) => sum + weightOf(entry), 0) > MANY_COMPARISONS;
}

function ruleWeight({ peers }: PolicyRule): number {
  return peers.reduce((sum, peer) => sum + peerWeight(peer), 1);
}

function peerWeight({ ipBlock }: PolicyPeer): number {
  return 1 + (ipBlock?.except.length ?? 0);
}

/** What manifests say about a cluster, and how completely: most folders contain a part of one. */
import { modeOf } from '../cluster/mode.ts';
import type {
  LabelSelector,
  NamespaceRecord,
  PodRecord,
  PolicyMode,
  PolicyPeer,
  PolicyRecord,
} from '../cluster/records.ts';
import { isEmptySelector, matchesSelector, selectorKey } from '../cluster/selector.ts';
import { SelectorSet } from '../policy/selector-set.ts';
import { ClosestLabels } from './closest-labels.ts';
import type { KnownService, LintInput } from './input.ts';
import { KnownPods } from './known-pods.ts';
import { makesNoPods } from './other-kinds.ts';
import { isPositive } from './selector-cover.ts';

/** The label that the API server adds to every namespace. */
export const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

/** Namespaces that an application's manifests never contain completely. */
const SYSTEM_NAMESPACE = /^kube-/;

const NO_PODS = new KnownPods([]);

export class KnownCluster {
  readonly namespaces: readonly NamespaceRecord[];
  readonly closest = new ClosestLabels();
  /** Unknown pods may exist: an operator creates them from objects of its own kind. */
  readonly mayHaveMorePods: boolean;
  /** Pods that policies can select or match: all but hostNetwork pods. */
  readonly pods: KnownPods;
  readonly #byNamespace: ReadonlyMap<string, KnownPods>;
  readonly #hostPods: ReadonlyMap<string, KnownPods>;
  readonly #namespace: ReadonlyMap<string, NamespaceRecord>;
  readonly #defined: ReadonlySet<string>;
  readonly #services: ReadonlyMap<string, readonly KnownService[]>;
  readonly #policies: ReadonlyMap<string, readonly PolicyRecord[]>;
  readonly #bySelector = new Map<string, SelectorSet<PolicyRecord>>();
  readonly #matchingNamespaces = new Map<string, readonly NamespaceRecord[]>();

  constructor({ snapshot, services = [], sources, skipped = new Map() }: LintInput) {
    this.mayHaveMorePods = [...skipped.keys()].some((kind) => !makesNoPods(kind));
    const own = snapshot.pods.filter(({ hostNetwork }) => !hostNetwork);
    this.pods = new KnownPods(own);
    this.#byNamespace = podsByNamespace(own);
    this.#hostPods = podsByNamespace(snapshot.pods.filter(({ hostNetwork }) => hostNetwork));
    this.namespaces = snapshot.namespaces;
    this.#namespace = new Map(snapshot.namespaces.map((namespace) => [namespace.name, namespace]));
    const isDefined = ({ name }: NamespaceRecord) => sources === undefined || sources.has(`Namespace ${name}`);
    this.#defined = new Set(snapshot.namespaces.filter(isDefined).map(({ name }) => name));
    this.#services = Map.groupBy(services, ({ namespace }) => namespace);
    this.#policies = Map.groupBy(snapshot.policies, ({ namespace }) => namespace);
  }

  /**
   * Returns the known pods of a namespace. If there are none, lint reports no missing pods there.
   */
  podsOf(namespace: string): KnownPods {
    return this.#byNamespace.get(namespace) ?? NO_PODS;
  }

  hasPods(namespace: string): boolean {
    return this.#byNamespace.has(namespace);
  }

  /** Returns the pods that a policy selects. */
  selectedBy({ namespace, podSelector }: PolicyRecord): readonly PodRecord[] {
    return this.podsOf(namespace).select(podSelector);
  }

  /** Returns matching hostNetwork pods, to which no policy applies. */
  hostPods(namespace: string, selector: LabelSelector): readonly PodRecord[] {
    return (this.#hostPods.get(namespace) ?? NO_PODS).select(selector);
  }

  /** Returns the known namespaces that the selector matches. */
  namespacesOf(selector: LabelSelector): readonly NamespaceRecord[] {
    const key = selectorKey(selector);
    let found = this.#matchingNamespaces.get(key);
    if (found === undefined) {
      found = this.namespaces.filter(({ labels }) => matchesSelector(selector, labels));
      this.#matchingNamespaces.set(key, found);
    }
    return found;
  }

  /** Returns the known pods that a peer with selectors matches. */
  podsOfPeer({ podSelector, namespaceSelector }: PolicyPeer, namespace: string): readonly PodRecord[] {
    const every = { matchLabels: {}, matchExpressions: [] };
    const names = namespaceSelector ? this.namespacesOf(namespaceSelector).map(({ name }) => name) : [namespace];
    const [only] = names;
    if (only !== undefined && names.length === 1) return this.podsOf(only).select(podSelector ?? every);
    return names.flatMap((name) => this.podsOf(name).select(podSelector ?? every));
  }

  /**
   * Whether the manifests show the namespaces that a peer selects, beyond the policy's own pods.
   * The manifests of a single service say nothing about its peers. No manifests show all pods of
   * system namespaces, nor of a peer that selects every namespace or all but some.
   */
  showsNamespacesOf({ namespaceSelector }: PolicyPeer, policy: PolicyRecord): boolean {
    if (this.mayHaveMorePods) return false;
    if (namespaceSelector && (isEmptySelector(namespaceSelector) || !isPositive(namespaceSelector))) return false;
    const names = namespaceSelector ? this.namespacesOf(namespaceSelector).map(({ name }) => name) : [policy.namespace];
    if (names.some((name) => SYSTEM_NAMESPACE.test(name) || !this.#isKnown(name))) return false;
    return names.some(
      (name) => name !== policy.namespace || this.podsOf(name).all.length > this.selectedBy(policy).length,
    );
  }

  /** Whether any pod of the namespace is known. */
  #isKnown(namespace: string): boolean {
    return this.hasPods(namespace) || this.#hostPods.has(namespace);
  }

  /**
   * Whether no pod of these namespaces matches a selector, apart from labels that no pod anywhere
   * has: those are for pods that opt in, or that are created at run time.
   */
  lackKnownLabels(namespaces: readonly string[], { matchLabels, matchExpressions }: LabelSelector): boolean {
    const known = {
      matchLabels: Object.fromEntries(Object.entries(matchLabels).filter(([key]) => this.pods.haveKey(key))),
      matchExpressions: matchExpressions.filter(({ key }) => this.pods.haveKey(key)),
    };
    return namespaces.every((name) => this.podsOf(name).select(known).length === 0);
  }

  /** Returns a namespace with all its labels; undefined if only its name is known. */
  definedNamespace(name: string): NamespaceRecord | undefined {
    return this.#defined.has(name) ? this.#namespace.get(name) : undefined;
  }

  servicesIn(namespace: string): readonly KnownService[] {
    return this.#services.get(namespace) ?? [];
  }

  policiesIn(namespace: string): readonly PolicyRecord[] {
    return this.#policies.get(namespace) ?? [];
  }

  modeOf(policy: PolicyRecord): PolicyMode {
    return modeOf(policy, this.#namespace.get(policy.namespace));
  }

  /** Returns the policies of a namespace that select pods with these labels. */
  policiesSelecting(namespace: string, labels: PodRecord['labels']): readonly PolicyRecord[] {
    let set = this.#bySelector.get(namespace);
    if (set === undefined) {
      set = new SelectorSet<PolicyRecord>(({ podSelector }) => podSelector);
      for (const policy of this.policiesIn(namespace)) set.add(policy);
      this.#bySelector.set(namespace, set);
    }
    const found: PolicyRecord[] = [];
    set.match(labels, found);
    return found;
  }
}

function podsByNamespace(pods: readonly PodRecord[]): ReadonlyMap<string, KnownPods> {
  const grouped = Map.groupBy(pods, ({ namespace }) => namespace);
  return new Map([...grouped].map(([namespace, own]) => [namespace, new KnownPods(own)]));
}

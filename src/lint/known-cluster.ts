/** What a set of manifests tells about a cluster, and how far it goes: most folders hold a part of one. */
import type { LabelSelector, NamespaceRecord, PodRecord, PolicyPeer, PolicyRecord } from '../cluster/records.ts';
import { matchesSelector, selectorKey } from '../cluster/selector.ts';
import { SelectorSet } from '../policy/selector-set.ts';
import { ClosestLabels } from './closest-labels.ts';
import type { KnownService, LintInput } from './input.ts';
import { KnownPods } from './known-pods.ts';
import { makesNoPods } from './other-kinds.ts';

/** The label that the API server gives every namespace by itself. */
export const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

const NO_PODS = new KnownPods([]);

export class KnownCluster {
  readonly namespaces: readonly NamespaceRecord[];
  readonly closest = new ClosestLabels();
  /** There may be pods that are not known: an operator makes them from an object of its own kind. */
  readonly mayHaveMorePods: boolean;
  /** Pods that policies can select or match: those without a network of their own are left out. */
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

  /** Of a namespace whose pods are not known at all, nothing can be said about pods that are missing. */
  podsOf(namespace: string): KnownPods {
    return this.#byNamespace.get(namespace) ?? NO_PODS;
  }

  hasPods(namespace: string): boolean {
    return this.#byNamespace.has(namespace);
  }

  /** The pods that a policy selects. */
  selectedBy({ namespace, podSelector }: PolicyRecord): readonly PodRecord[] {
    return this.podsOf(namespace).select(podSelector);
  }

  /** Pods in the network of their node, which no policy reaches. */
  hostPods(namespace: string, selector: LabelSelector): readonly PodRecord[] {
    return (this.#hostPods.get(namespace) ?? NO_PODS).select(selector);
  }

  /** Known namespaces that the selector matches. */
  namespacesOf(selector: LabelSelector): readonly NamespaceRecord[] {
    const key = selectorKey(selector);
    let found = this.#matchingNamespaces.get(key);
    if (found === undefined) {
      found = this.namespaces.filter(({ labels }) => matchesSelector(selector, labels));
      this.#matchingNamespaces.set(key, found);
    }
    return found;
  }

  /** The pods that a peer with selectors matches, as far as they are known. */
  podsOfPeer({ podSelector, namespaceSelector }: PolicyPeer, namespace: string): readonly PodRecord[] {
    const every = { matchLabels: {}, matchExpressions: [] };
    const names = namespaceSelector ? this.namespacesOf(namespaceSelector).map(({ name }) => name) : [namespace];
    const [only] = names;
    if (only !== undefined && names.length === 1) return this.podsOf(only).select(podSelector ?? every);
    return names.flatMap((name) => this.podsOf(name).select(podSelector ?? every));
  }

  /** A namespace with all its labels; undefined where only its name is known. */
  definedNamespace(name: string): NamespaceRecord | undefined {
    return this.#defined.has(name) ? this.#namespace.get(name) : undefined;
  }

  servicesIn(namespace: string): readonly KnownService[] {
    return this.#services.get(namespace) ?? [];
  }

  policiesIn(namespace: string): readonly PolicyRecord[] {
    return this.#policies.get(namespace) ?? [];
  }

  /** The policies of a namespace that select pods with these labels. */
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

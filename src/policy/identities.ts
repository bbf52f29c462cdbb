/**
 * Identities: pods that policies cannot tell apart share one. Selectors are matched against
 * identities, never against pods, so a Deployment of a thousand replicas costs as much as one pod.
 */

import type { ContainerPort, LabelSelector, Labels, NamespaceRecord } from '../cluster/records.ts';
import { GrowingWords, Numbers } from './growing-words.ts';
import { type Identity, type Namespace, NO_GROUP, type Policy } from './model.ts';
import { PortNames } from './port-names.ts';
import { SelectorSet } from './selector-set.ts';

/** Most label keys that get a number, so that whoever writes labels cannot fill the memory. */
const MAX_NUMBERED_KEYS = 4096;

export class Identities {
  private readonly portNames: PortNames;
  private readonly namespaces = new Map<string, Namespace>();
  private readonly numbers = new Numbers(1);
  /** Numbers of label keys. They stay forever, because the keys of identities contain them. */
  private readonly labelKeys = new Map<string, number>();
  /**
   * Identities without pods. The next `settle` removes them, unless a pod uses them again before.
   */
  private readonly deserted = new Set<Identity>();
  private readonly byId: (Identity | undefined)[] = [];
  /** Grows when an identity comes or goes, and when a namespace gets other labels. */
  version = 0;
  /** Number of identities. */
  size = 0;
  /** Number of namespaces with known labels. */
  labelledNamespaces = 0;
  /**
   * How often identities came, went, or were in a namespace whose labels changed, and how often
   * labels of namespaces changed.
   */
  moves = 0;
  /** By identity: its profile of named ports. */
  readonly profiles = new GrowingWords();

  constructor(portNames: PortNames) {
    this.portNames = portNames;
    this.profiles.set(0, 0);
  }

  all(): IterableIterator<Namespace> {
    return this.namespaces.values();
  }

  /** Whether the identity is still in use. */
  isKnown(identity: Identity): boolean {
    return this.byId[identity.id] === identity;
  }

  /** Returns the identities of all namespaces, by id: the array itself, not a copy. */
  allIdentities(): readonly (Identity | undefined)[] {
    return this.byId;
  }

  namespace(name: string): Namespace {
    let namespace = this.namespaces.get(name);
    if (namespace === undefined) {
      namespace = {
        name,
        labels: undefined,
        identities: new Map(),
        endpoints: undefined,
        policies: new SelectorSet(podSelectorOf),
        mode: undefined,
        ownScope: undefined,
        scopes: undefined,
        indexed: undefined,
      };
      this.namespaces.set(name, namespace);
    }
    return namespace;
  }

  /** Sets the labels; undefined if the namespace was deleted. Returns whether they differ now. */
  setLabels(namespace: Namespace, labels: NamespaceRecord['labels'] | undefined): boolean {
    const before = namespace.labels === undefined ? undefined : this.labelsKey(namespace.labels);
    const after = labels === undefined ? undefined : this.labelsKey(labels);
    this.labelledNamespaces += Number(labels !== undefined) - Number(namespace.labels !== undefined);
    namespace.labels = labels;
    if (before !== after) {
      this.version++;
      this.moves += 1 + namespace.identities.size;
    }
    return before !== after;
  }

  /** Counts one more pod of an identity, and returns the identity. A new one has no group yet. */
  retain(namespace: Namespace, labels: Labels, ports: readonly ContainerPort[]): Identity {
    const profileKey = PortNames.profileKey(ports);
    const key = profileKey === '' ? this.labelsKey(labels) : `${this.labelsKey(labels)} ${profileKey}`;
    let identity = namespace.identities.get(key);
    if (identity === undefined) {
      const id = this.numbers.take();
      identity = {
        id,
        key,
        namespace,
        labels,
        profileKey,
        pods: 0,
        endpoints: 0,
        group: NO_GROUP,
        selectedBy: undefined,
      };
      namespace.identities.set(key, identity);
      this.byId[id] = identity;
      this.version++;
      this.size++;
      this.moves++;
      this.profiles.set(id, this.portNames.retainProfile(profileKey, ports));
    } else if (identity.pods === 0) {
      this.deserted.delete(identity);
    }
    identity.pods++;
    return identity;
  }

  release(identity: Identity): void {
    if (--identity.pods === 0) this.deserted.add(identity);
  }

  /** Removes the identities without pods, each after a call of `onRemoved`. */
  settle(onRemoved: (identity: Identity) => void): void {
    for (const identity of this.deserted) {
      this.version++;
      this.size--;
      this.moves++;
      onRemoved(identity);
      identity.namespace.identities.delete(identity.key);
      this.portNames.releaseProfile(identity.profileKey);
      this.byId[identity.id] = undefined;
      this.numbers.giveBack(identity.id);
      this.forgetIfEmpty(identity.namespace);
    }
    this.deserted.clear();
  }

  /**
   * Removes a namespace that has nothing left. If it was removed before, a successor of the same
   * name stays.
   */
  forgetIfEmpty(namespace: Namespace): void {
    const { name, labels, identities, policies, ownScope, scopes } = namespace;
    const isLookedFor = labels !== undefined || ownScope !== undefined || scopes !== undefined;
    if (isLookedFor || identities.size > 0 || policies.size > 0) return;
    if (this.namespaces.get(name) === namespace) this.namespaces.delete(name);
  }

  /**
   * Returns a text that is equal for equal labels only: each value, and each key without a number,
   * follows its length, so that none can imitate what comes next.
   */
  private labelsKey(labels: Labels): string {
    const keys = Object.keys(labels);
    if (keys.length > 1) keys.sort();
    let text = '';
    for (const key of keys) {
      const value = labels[key] as string;
      text += `${this.numberOf(key) ?? `${key.length}"${key}`},${value.length}:${value}`;
    }
    return text;
  }

  /**
   * Returns a number that stands for a label key: keys are longer than most values, and most pods
   * share them. Undefined if there are too many keys.
   */
  private numberOf(labelKey: string): number | undefined {
    const known = this.labelKeys.get(labelKey);
    if (known !== undefined || this.labelKeys.size >= MAX_NUMBERED_KEYS) return known;
    this.labelKeys.set(labelKey, this.labelKeys.size);
    return this.labelKeys.size - 1;
  }
}

function podSelectorOf({ record }: Policy): LabelSelector {
  return record.podSelector;
}

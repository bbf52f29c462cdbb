/** Pods by their labels. */
import type { LabelSelector, PodRecord } from '../cluster/records.ts';
import { selectorKey } from '../cluster/selector.ts';
import { matches, requiredLabel } from '../policy/selector-set.ts';

/**
 * Pods, indexed for many selectors. Of pods that are the same to every rule (replicas) it keeps
 * one: a finding about that one applies to all of them.
 */
export class KnownPods {
  /** One pod of each kind. */
  readonly all: readonly PodRecord[];
  readonly #byLabel = new Map<string, Map<string, PodRecord[]>>();
  readonly #selected = new Map<string, readonly PodRecord[]>();

  constructor(pods: Iterable<PodRecord>) {
    const sorts = new Map<string, PodRecord>();
    for (const pod of pods) {
      const key = JSON.stringify([pod.namespace, Object.entries(pod.labels).sort(), pod.ports, pod.hostNetwork]);
      if (!sorts.has(key)) sorts.set(key, pod);
    }
    this.all = [...sorts.values()];
  }

  /** Returns the pods that the selector matches; for equal selectors the same list. */
  select(selector: LabelSelector): readonly PodRecord[] {
    const key = selectorKey(selector);
    let selected = this.#selected.get(key);
    if (selected === undefined) {
      selected = this.#candidates(selector).filter(({ labels }) => matches(selector, labels));
      this.#selected.set(key, selected);
    }
    return selected;
  }

  /** Whether any pod has a label with this key. */
  haveKey(key: string): boolean {
    return (this.#byLabel.get(key) ?? this.#index(key)).size > 0;
  }

  #candidates(selector: LabelSelector): readonly PodRecord[] {
    const required = requiredLabel(selector);
    if (required === undefined) return this.all;
    const byValue = this.#byLabel.get(required.key) ?? this.#index(required.key);
    return [...required.values].flatMap((value) => byValue.get(value) ?? []);
  }

  #index(key: string): ReadonlyMap<string, readonly PodRecord[]> {
    const byValue = new Map<string, PodRecord[]>();
    for (const pod of this.all) {
      if (!Object.hasOwn(pod.labels, key)) continue;
      const value = pod.labels[key] as string;
      const pods = byValue.get(value);
      if (pods === undefined) byValue.set(value, [pod]);
      else pods.push(pod);
    }
    this.#byLabel.set(key, byValue);
    return byValue;
  }
}

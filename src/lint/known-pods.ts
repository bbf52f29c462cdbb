/** Pods by their labels. */
import type { LabelSelector, PodRecord } from '../cluster/records.ts';
import { selectorKey } from '../cluster/selector.ts';
import { matches, requiredLabel } from '../policy/selector-set.ts';

/**
 * Pods that selectors are asked for, many times over. Of pods that are the same to every rule (replicas) only one is kept: what a rule says
 * of it holds for all of them.
 */
export class KnownPods {
  /** One of each sort. */
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

  /** The pods that the selector matches. The same list for the same selector. */
  select(selector: LabelSelector): readonly PodRecord[] {
    const key = selectorKey(selector);
    let selected = this.#selected.get(key);
    if (selected === undefined) {
      selected = this.#candidates(selector).filter(({ labels }) => matches(selector, labels));
      this.#selected.set(key, selected);
    }
    return selected;
  }

  /** Whether any of them has a label of this key. */
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

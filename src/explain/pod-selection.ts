/** The label selector that selects one workload's pods, and no others of their namespace. */
import type { LabelSelector, Labels, PodRecord } from '../cluster/records.ts';
import { labelOf, matchesSelector } from '../cluster/selector.ts';

/** Labels that controllers generate for each pod or version: people write no policies with them. */
const GENERATED: ReadonlySet<string> = new Set([
  'pod-template-hash',
  'pod-template-generation',
  'controller-revision-hash',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
  'controller-uid',
  'job-name',
  'batch.kubernetes.io/controller-uid',
  'batch.kubernetes.io/job-name',
  'batch.kubernetes.io/job-completion-index',
]);

/**
 * Labels that identify a workload, the most common first
 * (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/).
 */
const TELLING: readonly string[] = [
  'app.kubernetes.io/name',
  'app',
  'k8s-app',
  'app.kubernetes.io/instance',
  'app.kubernetes.io/component',
  'component',
  'role',
  'tier',
  'name',
];

/** Labels that change with every release. */
const PASSING: readonly string[] = [
  'app.kubernetes.io/managed-by',
  'app.kubernetes.io/version',
  'version',
  'helm.sh/chart',
  'chart',
];

export interface PodSelection {
  readonly selector: LabelSelector;
  /** Other pods that the selector matches too: policies cannot tell them from the pod. */
  readonly alike: readonly PodRecord[];
}

/**
 * How many labels of a pod are considered, the most telling first. Nobody would write a longer
 * selector, and this many tell the pod from nearly all others.
 */
export const MOST_LABELS = 64;

/** @param pods all pods of the pod's namespace, itself included */
export function selectionOf(pod: PodRecord, pods: readonly PodRecord[]): PodSelection {
  const labels = tellingLabels(pod.labels);
  const others = pods.filter((other) => !sameLabels(lastingLabels(other.labels), lastingLabels(pod.labels)));
  const matchExpressions = absentKeys(labels, pod.labels, others).map((key) => ({
    key,
    operator: 'DoesNotExist' as const,
    values: [],
  }));
  const matchLabels = fewestLabels(
    labels,
    others.filter((other) => matchesSelector({ matchLabels: {}, matchExpressions }, other.labels)),
  );
  const selector = { matchLabels, matchExpressions };
  const alike = pods.filter((other) => other.name !== pod.name && matchesSelector(selector, other.labels));
  return { selector, alike };
}

/** Returns the most telling of the lasting labels. */
function tellingLabels(labels: Labels): Labels {
  const entries = Object.entries(lastingLabels(labels));
  if (entries.length <= MOST_LABELS) return Object.fromEntries(entries);
  return Object.fromEntries(entries.sort(([a], [b]) => -byUse(a, b)).slice(0, MOST_LABELS));
}

/**
 * Returns the labels without the redundant ones. A label is redundant if every pod that lacks it
 * also lacks another label that stays. Visits each pod once.
 */
function fewestLabels(labels: Labels, others: readonly PodRecord[]): Labels {
  const keys = Object.keys(labels);
  const kept = new Set(keys);
  /** By key, the pods that lack the label; by pod, how many of the kept labels it lacks. */
  const lacking = new Map<string, PodRecord[]>(keys.map((key) => [key, []]));
  const lacks = new Map<PodRecord, number>();
  for (const other of others) {
    const missing = keys.filter((key) => labelOf(other.labels, key) !== labels[key]);
    for (const key of missing) lacking.get(key)?.push(other);
    // No selector distinguishes a pod that lacks none from ours.
    lacks.set(other, missing.length);
  }
  for (const key of keys.toSorted(byUse).slice(0, -1)) {
    const without = lacking.get(key) ?? [];
    if (without.some((other) => lacks.get(other) === 1)) continue;
    for (const other of without) lacks.set(other, (lacks.get(other) ?? 0) - 1);
    kept.delete(key);
  }
  return Object.fromEntries(Object.entries(labels).filter(([key]) => kept.has(key)));
}

/** Returns the labels without those that controllers generate. */
export function lastingLabels(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !GENERATED.has(key)));
}

function sameLabels(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => labelOf(b, key) === a[key]);
}

/**
 * Returns keys that exclude the pods which have all of `labels` and further ones; keys that exclude
 * the most pods come first.
 * @param own all labels of the pod to keep
 */
function absentKeys(labels: Labels, own: Labels, others: readonly PodRecord[]): readonly string[] {
  const wanted = Object.keys(labels);
  const left = new Set<readonly string[]>();
  const having = new Map<string, Set<readonly string[]>>();
  for (const other of others) {
    if (!wanted.every((key) => labelOf(other.labels, key) === labels[key])) continue;
    // Each of its further labels is enough to exclude it.
    const more = Object.keys(lastingLabels(other.labels)).filter((key) => !Object.hasOwn(own, key));
    const some = more.sort().slice(0, MOST_LABELS);
    if (some.length > 0) left.add(some);
    for (const key of some) having.set(key, (having.get(key) ?? new Set()).add(some));
  }
  const keys: string[] = [];
  while (left.size > 0 && keys.length < MOST_LABELS) {
    let best: { readonly key: string; readonly pods: ReadonlySet<readonly string[]> } | undefined;
    for (const [key, pods] of having) {
      const size = best?.pods.size ?? 0;
      if (pods.size > size || (pods.size === size && best !== undefined && key < best.key)) best = { key, pods };
    }
    if (best === undefined) break;
    keys.push(best.key);
    for (const pod of [...best.pods]) {
      left.delete(pod);
      for (const key of pod) having.get(key)?.delete(pod);
    }
  }
  return keys;
}

/** Orders keys by how much they say about a workload, the least first. */
function byUse(a: string, b: string): number {
  return useOf(a) - useOf(b) || (a < b ? 1 : -1);
}

function useOf(key: string): number {
  if (PASSING.includes(key)) return -1;
  const rank = TELLING.indexOf(key);
  return rank < 0 ? 0 : TELLING.length - rank;
}

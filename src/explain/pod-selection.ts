/** The label selector that means one workload's pods, and no others of their namespace. */
import type { LabelSelector, Labels, PodRecord } from '../cluster/records.ts';
import { labelOf, matchesSelector } from '../cluster/selector.ts';

/** Labels that controllers make up for each pod or each version of it: nobody writes policies with them. */
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

/** Labels that say what a pod is, the best known first (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/). */
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
  /** The other pods that it selects: policies cannot tell them from the pod. */
  readonly alike: readonly PodRecord[];
}

/** @param pods those of the pod's namespace, itself included */
export function selectionOf(pod: PodRecord, pods: readonly PodRecord[]): PodSelection {
  const labels = lastingLabels(pod.labels);
  const alike = pods.filter((other) => sameLabels(lastingLabels(other.labels), labels));
  const others = pods.filter((other) => !alike.includes(other));
  const matchExpressions = absentKeys(labels, others).map((key) => ({
    key,
    operator: 'DoesNotExist' as const,
    values: [],
  }));
  let matchLabels = labels;
  for (const key of Object.keys(labels).sort(byUse).slice(0, -1)) {
    const { [key]: _, ...fewer } = matchLabels;
    if (!others.some((other) => matchesSelector({ matchLabels: fewer, matchExpressions }, other.labels)))
      matchLabels = fewer;
  }
  return { selector: { matchLabels, matchExpressions }, alike: alike.filter((other) => other.name !== pod.name) };
}

/** Without those that controllers make up. */
export function lastingLabels(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !GENERATED.has(key)));
}

function sameLabels(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => labelOf(b, key) === a[key]);
}

/** Keys that tell the pods which have all of `labels`, and more, from those that have no more. */
function absentKeys(labels: Labels, others: readonly PodRecord[]): readonly string[] {
  const keys: string[] = [];
  let left = others
    .map((other) => lastingLabels(other.labels))
    .filter((more) => Object.keys(labels).every((key) => labelOf(more, key) === labels[key]));
  while (left.length > 0) {
    const counts = new Map<string, number>();
    for (const key of left.flatMap((more) => Object.keys(more))) {
      if (!Object.hasOwn(labels, key)) counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const [best] = [...counts].sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1));
    if (best === undefined) break;
    keys.push(best[0]);
    left = left.filter((more) => !Object.hasOwn(more, best[0]));
  }
  return keys;
}

/** Those that are best left out first. */
function byUse(a: string, b: string): number {
  return useOf(a) - useOf(b) || (a < b ? 1 : -1);
}

function useOf(key: string): number {
  if (PASSING.includes(key)) return -1;
  const rank = TELLING.indexOf(key);
  return rank < 0 ? 0 : TELLING.length - rank;
}

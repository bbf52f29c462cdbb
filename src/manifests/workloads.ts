/** Deployments and other workloads -> the pods that their controllers would create. */
import { Field, isMap, type Problem, type Projection } from '../cluster/field.ts';
import { readIdentity } from '../cluster/names.ts';
import { projectPod } from '../cluster/projection.ts';
import type { Labels, PodRecord } from '../cluster/records.ts';

export const WORKLOAD_KINDS = ['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob'] as const;
export type WorkloadKind = (typeof WORKLOAD_KINDS)[number];

/** An object of the same namespace, as owner references name it. */
export interface Owner {
  readonly kind: string;
  readonly name: string;
}

export interface Workload {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  /** The object that created this one. */
  readonly controller: Owner | undefined;
  /** Desired pods; 1 for a DaemonSet, which stands for one on each node. */
  readonly replicas: number;
  /** Number of the first pod. */
  readonly firstOrdinal: number;
  /** The pod that each replica copies; its name is the workload's. */
  readonly template: PodRecord;
}

/** A pod that is in the manifests itself. */
export interface RealPod {
  readonly record: PodRecord;
  readonly controller: Owner | undefined;
}

/** Returns the path of the pod template in a kind. */
function templatePath(kind: WorkloadKind): readonly string[] {
  return kind === 'CronJob' ? ['spec', 'jobTemplate', 'spec', 'template'] : ['spec', 'template'];
}

export function projectWorkload(kind: WorkloadKind, object: unknown, defaultNamespace: string): Projection<Workload> {
  const problems: Problem[] = [];
  const root = new Field(object, problems);
  const { name, namespace } = readIdentity(root.child('metadata'), defaultNamespace);
  root.child('spec').keys();
  const path = templatePath(kind);
  const template = path.reduce((field, key) => field.child(key), root);
  if (template.isAbsent && root.child('spec').isClean) template.problem(`the ${kind} has no pod template`);
  else template.child('metadata').keys();
  template.keys();
  const { replicas, firstOrdinal } = readReplicas(kind, root);
  if (name === undefined) return { record: undefined, problems };

  const pod = projectTemplate(template.value, namespace, name);
  problems.push(...pod.problems.map((problem) => ({ ...problem, path: [...path, ...problem.path] })));
  if (pod.record === undefined || !isMap(template.value)) return { record: undefined, problems };
  const controller = controllerOf(object);
  return { record: { kind, namespace, name, controller, replicas, firstOrdinal, template: pod.record }, problems };
}

/** A template has no name and no status of its own. */
function projectTemplate(template: unknown, namespace: string, name: string): Projection<PodRecord> {
  if (!isMap(template)) return { record: undefined, problems: [] };
  const metadata = isMap(template.metadata) ? template.metadata : {};
  return projectPod({ metadata: { ...metadata, name, namespace }, spec: template.spec });
}

function readReplicas(kind: WorkloadKind, root: Field): Pick<Workload, 'replicas' | 'firstOrdinal'> {
  const spec = root.child('spec');
  if (kind === 'Job' || kind === 'CronJob') {
    const job = kind === 'CronJob' ? spec.child('jobTemplate').child('spec') : spec;
    const parallelism = job.child('parallelism').integer(0) ?? 1;
    const completions = job.child('completions').integer(0) ?? Number.POSITIVE_INFINITY;
    const isSuspended = spec.child('suspend').flag();
    return { replicas: isSuspended ? 0 : Math.min(parallelism, completions), firstOrdinal: 1 };
  }
  const firstOrdinal = kind === 'StatefulSet' ? (spec.child('ordinals').child('start').integer(0) ?? 0) : 1;
  return { replicas: kind === 'DaemonSet' ? 1 : (spec.child('replicas').integer(0) ?? 1), firstOrdinal };
}

/** Returns the owner that manages an object; `metadata.ownerReferences` may name others too. */
export function controllerOf(object: unknown): Owner | undefined {
  const references = new Field(object, []).child('metadata').child('ownerReferences').list();
  const owner = references.find((reference) => reference.child('controller').value === true) ?? references[0];
  const kind = owner?.child('kind').value;
  const name = owner?.child('name').value;
  return typeof kind === 'string' && typeof name === 'string' ? { kind, name } : undefined;
}

export interface ExpandOptions {
  /** @default 0 */
  readonly minReplicas?: number;
  readonly maxReplicas: number;
  readonly nodes: readonly string[];
}

/**
 * Returns the pods of all workloads that own none of `realPods`. A workload that another loaded one
 * controls (a Deployment's ReplicaSet) adds no pods of its own. The order of `workloads` does not
 * matter.
 */
export function expandWorkloads(
  workloads: readonly Workload[],
  realPods: readonly RealPod[],
  options: ExpandOptions,
): readonly PodRecord[] {
  const loaded = new Map(workloads.map((workload) => [ownerKey(workload.namespace, workload), workload]));
  const populated = ownersOf(realPods, loaded);
  const names = new Set(realPods.map(({ record }) => `${record.namespace}/${record.name}`));
  const pods: PodRecord[] = [];
  for (const workload of workloads.toSorted(compareWorkloads)) {
    const { namespace, controller } = workload;
    if (populated.has(ownerKey(namespace, workload))) continue;
    if (controller !== undefined && loaded.has(ownerKey(namespace, controller))) continue;
    for (const pod of podsOf(workload, options)) {
      const name = freeName(pod.name, workload, names);
      names.add(`${namespace}/${name}`);
      pods.push(name === pod.name ? pod : { ...pod, name });
    }
  }
  return pods;
}

function ownerKey(namespace: string, { kind, name }: Owner): string {
  return `${kind} ${namespace}/${name}`;
}

function compareWorkloads(a: Workload, b: Workload): number {
  const rank = WORKLOAD_KINDS.indexOf(a.kind) - WORKLOAD_KINDS.indexOf(b.kind);
  return rank !== 0 ? rank : ownerKey(a.namespace, a) < ownerKey(b.namespace, b) ? -1 : 1;
}

/** Returns all owners of real pods, also those through a ReplicaSet or a Job. */
function ownersOf(realPods: readonly RealPod[], loaded: ReadonlyMap<string, Workload>): ReadonlySet<string> {
  const owners = new Set<string>();
  for (const { record, controller } of realPods) {
    if (controller === undefined) continue;
    const key = ownerKey(record.namespace, controller);
    owners.add(key);
    const outer = loaded.get(key)?.controller ?? impliedOwner(controller, record.labels);
    if (outer !== undefined) owners.add(ownerKey(record.namespace, outer));
  }
  return owners;
}

/** Derives the owner of a ReplicaSet or Job that the manifests lack from its generated name. */
function impliedOwner({ kind, name }: Owner, labels: Labels): Owner | undefined {
  if (kind === 'ReplicaSet') {
    const suffix = `-${labels['pod-template-hash'] ?? ''}`;
    if (suffix !== '-' && name.endsWith(suffix)) return { kind: 'Deployment', name: name.slice(0, -suffix.length) };
  }
  if (kind === 'Job') return { kind: 'CronJob', name: name.replace(/-\d+$/, '') };
  return undefined;
}

function podsOf(workload: Workload, { minReplicas = 0, maxReplicas, nodes }: ExpandOptions): readonly PodRecord[] {
  const { kind, name, template, firstOrdinal } = workload;
  if (kind === 'DaemonSet' && nodes.length > 0) {
    return nodes.map((node) => ({ ...template, name: `${name}-${node}`, nodeName: node }));
  }
  const count = Math.max(Math.min(workload.replicas, maxReplicas), minReplicas);
  return Array.from({ length: count }, (_, index) => {
    const ordinal = firstOrdinal + index;
    const podName = `${name}-${ordinal}`;
    return {
      ...template,
      name: podName,
      labels: { ...template.labels, ...controllerLabels(workload, podName, ordinal) },
    };
  });
}

/** Returns the labels that controllers add, if they are predictable and policies select by them. */
function controllerLabels({ kind, name }: Workload, podName: string, ordinal: number): Labels {
  if (kind === 'StatefulSet') {
    return { 'statefulset.kubernetes.io/pod-name': podName, 'apps.kubernetes.io/pod-index': String(ordinal) };
  }
  return kind === 'Job' ? { 'job-name': name, 'batch.kubernetes.io/job-name': name } : {};
}

/** Returns a free name: a Deployment and a Job of the same name would both have a pod NAME-1. */
function freeName(name: string, { kind, namespace, name: owner }: Workload, taken: ReadonlySet<string>): string {
  let candidate = name;
  for (let round = 1; taken.has(`${namespace}/${candidate}`); round++) {
    const suffix = name.slice(owner.length);
    candidate = `${owner}-${kind.toLowerCase()}${round > 1 ? `-${round}` : ''}${suffix}`;
  }
  return candidate;
}

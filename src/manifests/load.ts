/** YAML and JSON manifests -> the records of a cluster: a second source beside the API server. */
import { type Family, parseAddress } from '../cluster/addresses.ts';
import type { Problem, Projection } from '../cluster/field.ts';
import { isTerminated, namespaceRecord, projectNamespace, projectPod, projectPolicy } from '../cluster/projection.ts';
import type { NamespaceRecord, PodRecord, PolicyRecord } from '../cluster/records.ts';
import { isEmptySelector } from '../cluster/selector.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { type AddressRange, rangesFor } from './address-range.ts';
import { ManifestCollection, type ManifestObject } from './collection.ts';
import { type ManifestProblem, ProblemLog } from './problems.ts';
import { allocateServices, isExternalName, projectService, type ServiceRecord } from './services.ts';
import { readSources } from './sources.ts';
import {
  controllerOf,
  type ExpandOptions,
  expandWorkloads,
  projectWorkload,
  type RealPod,
  WORKLOAD_KINDS,
} from './workloads.ts';

export interface LoadOptions {
  /** Namespace of objects that name none. @default 'default' */
  readonly defaultNamespace?: string;
  /** The most pods for one workload. @default 3 */
  readonly maxReplicas?: number;
  /** The fewest pods for one workload, even if it wants none at present. @default 0 */
  readonly minReplicas?: number;
  /** Node names: a DaemonSet gets a pod on each. @default one pod, on no particular node */
  readonly nodes?: readonly string[];
  /** Address families of the cluster, the preferred one first. @default ['IPv4'] */
  readonly families?: readonly Family[];
  /**
   * CIDRs for pods without an address of their own, one for each family.
   * @default 10.244.0.0/16 and fd00:10:244::/64
   */
  readonly podRanges?: readonly string[];
  /**
   * CIDRs for Services without an address of their own, one for each family.
   * @default 10.96.0.0/16 and fd00:10:96::/112
   */
  readonly serviceRanges?: readonly string[];
  /** The stream that the path `-` stands for. @default process.stdin */
  readonly stdin?: AsyncIterable<Uint8Array | string>;
}

export interface LoadedManifests {
  readonly snapshot: ClusterSnapshot;
  readonly services: readonly ServiceRecord[];
  /** Addresses for pods that have none in the manifests, from `podRanges` or the default ranges. */
  readonly assignedAddresses: ReadonlySet<string>;
  /** As given in the options. */
  readonly podRanges: readonly string[];
  /** Sorted by file and line. */
  readonly problems: readonly ManifestProblem[];
  /** Number of objects of each kind that podfence does not use. */
  readonly skipped: ReadonlyMap<string, number>;
  /** The place of each policy, by `namespace/name`. */
  readonly policyLocations: ReadonlyMap<string, PolicyLocation>;
  /**
   * The NetworkPolicies and Namespaces as written, by kind and key: `NetworkPolicy shop/web`,
   * `Namespace shop`.
   */
  readonly sources: ReadonlyMap<string, ManifestObject>;
}

export interface PolicyLocation {
  readonly file: string;
  readonly line: number;
}

const POD_RANGES = { IPv4: '10.244.0.0/16', IPv6: 'fd00:10:244::/64' };
const SERVICE_RANGES = { IPv4: '10.96.0.0/16', IPv6: 'fd00:10:96::/112' };

/**
 * Reads files, folders (recursively) and `-`, standard input. Mistakes in them become `problems`,
 * and everything else loads.
 * @throws ManifestOptionError for an unusable address range
 */
export async function loadManifests(paths: readonly string[], options: LoadOptions = {}): Promise<LoadedManifests> {
  const defaultNamespace = options.defaultNamespace ?? 'default';
  const families = options.families ?? ['IPv4'];
  const podRanges = rangesFor(families, options.podRanges ?? [], POD_RANGES);
  const serviceRanges = rangesFor(families, options.serviceRanges ?? [], SERVICE_RANGES);

  const log = new ProblemLog();
  const collection = new ManifestCollection(defaultNamespace, log);
  for await (const source of readSources(paths, options.stdin ?? process.stdin)) collection.add(source);

  const sources = new Map<string, ManifestObject>();
  const { policies, policyLocations } = loadPolicies(collection, defaultNamespace, sources);
  const { pods, assignedAddresses } = addressPods(
    loadPods(collection, defaultNamespace, {
      minReplicas: options.minReplicas ?? 0,
      maxReplicas: options.maxReplicas ?? 3,
      nodes: options.nodes ?? [],
    }),
    podRanges,
    log,
  );
  const services = loadServices(collection, defaultNamespace, families, serviceRanges);
  const namespaces = loadNamespaces(collection, [...pods, ...policies, ...services], sources);
  return {
    snapshot: { namespaces, pods, policies },
    services,
    assignedAddresses,
    podRanges: options.podRanges ?? [],
    problems: log.sorted(collection.files),
    skipped: collection.skipped,
    policyLocations,
    sources,
  };
}

/** Projects an object and reports its problems. */
function project<T>(collection: ManifestCollection, object: ManifestObject, projection: Projection<T>): T | undefined {
  collection.report(object, [...object.headProblems, ...projection.problems]);
  return projection.record;
}

function loadPolicies(collection: ManifestCollection, defaultNamespace: string, sources: Map<string, ManifestObject>) {
  const policies = new Map<string, PolicyRecord>();
  const rounds = new Map<string, number>();
  const policyLocations = new Map<string, PolicyLocation>();
  for (const object of collection.ofKind('NetworkPolicy')) {
    const projection = projectPolicy(object.value, defaultNamespace);
    const record = withHeadProblems(projection.record, object.headProblems);
    const problems = [...object.headProblems, ...projection.problems];
    collection.report(object, problems, record.error === undefined ? undefined : failsClosed(record));
    const name = freeName(record, policies, rounds);
    const key = `${record.namespace}/${name}`;
    policies.set(key, { ...record, name });
    policyLocations.set(key, { file: object.file, line: object.position.line });
    sources.set(`NetworkPolicy ${key}`, object);
  }
  return { policies: [...policies.values()].sort(byKey), policyLocations };
}

/** A wrong kind, apiVersion or document makes a policy fail closed, as a bad field does. */
function withHeadProblems(record: PolicyRecord, [first]: readonly Problem[]): PolicyRecord {
  return first === undefined ? record : { ...record, ingress: [], egress: [], error: first.message };
}

function failsClosed({ namespace, podSelector, isolates }: PolicyRecord): string {
  const pods = isEmptySelector(podSelector) ? `every pod of namespace ${namespace} stays` : 'its pods stay';
  return `The policy fails closed: ${pods} isolated for ${isolates.join(' and ')}, and it allows nothing.`;
}

/** Returns a free name: policies without a usable name all get the same one. */
function freeName(
  { namespace, name }: PolicyRecord,
  taken: ReadonlyMap<string, unknown>,
  rounds: Map<string, number>,
): string {
  const key = `${namespace}/${name}`;
  let candidate = name;
  let round = rounds.get(key) ?? 2;
  while (taken.has(`${namespace}/${candidate}`)) candidate = `${name}-${round++}`;
  rounds.set(key, round);
  return candidate;
}

/** A pod before it is assigned its addresses. */
interface LoadedPod {
  readonly record: PodRecord;
  readonly needsAddress: boolean;
}

function loadPods(
  collection: ManifestCollection,
  defaultNamespace: string,
  options: ExpandOptions,
): readonly LoadedPod[] {
  const pods: LoadedPod[] = [];
  const realPods: RealPod[] = [];
  for (const object of collection.ofKind('Pod')) {
    const record = project(collection, object, projectPod(object.value, defaultNamespace));
    if (record === undefined) continue;
    realPods.push({ record, controller: controllerOf(object.value) });
    pods.push({ record, needsAddress: needsAddress(record) && !hasEnded(object.value) });
  }
  const workloads = collection.ofKind(...WORKLOAD_KINDS).flatMap((object) => {
    return project(collection, object, projectWorkload(object.kind, object.value, defaultNamespace)) ?? [];
  });
  for (const record of expandWorkloads(workloads, realPods, options))
    pods.push({ record, needsAddress: needsAddress(record) });
  return pods.sort((a, b) => byKey(a.record, b.record));
}

/** A hostNetwork pod has its node's address, which is not known here. */
function needsAddress(record: PodRecord): boolean {
  return record.addresses.length === 0 && !record.hostNetwork;
}

function hasEnded(pod: Readonly<Record<string, unknown>>): boolean {
  const { status } = pod;
  return typeof status === 'object' && status !== null && 'phase' in status && isTerminated(status.phase);
}

function addressPods(
  pods: readonly LoadedPod[],
  ranges: ReadonlyMap<Family, AddressRange>,
  log: ProblemLog,
): { readonly pods: readonly PodRecord[]; readonly assignedAddresses: ReadonlySet<string> } {
  for (const { record } of pods) {
    for (const text of record.addresses) {
      const address = parseAddress(text);
      if (address !== undefined) ranges.get(address.family)?.reserve(address);
    }
  }
  const without: string[] = [];
  const assigned: string[] = [];
  const addressed = pods.map(({ record, needsAddress }) => {
    if (!needsAddress) return record;
    const key = `${record.namespace}/${record.name}`;
    const addresses = [...ranges.values()].flatMap((range) => range.take(key) ?? []);
    if (addresses.length < ranges.size) without.push(key);
    assigned.push(...addresses);
    return { ...record, addresses };
  });
  if (without.length > 0) {
    const message = `the pod range is full: ${without.length} pods lack an address, first ${without[0]}`;
    log.add({
      file: '',
      line: 0,
      column: 0,
      object: '',
      field: '',
      message,
      hint: 'Give a larger range.',
      severity: 'error',
    });
  }
  return { pods: addressed, assignedAddresses: new Set(assigned) };
}

function loadServices(
  collection: ManifestCollection,
  defaultNamespace: string,
  families: readonly Family[],
  ranges: ReadonlyMap<Family, AddressRange>,
): readonly ServiceRecord[] {
  const drafts = collection.ofKind('Service').flatMap((object) => {
    if (isExternalName(object.value)) {
      collection.countSkipped('Service (ExternalName)');
      return [];
    }
    return project(collection, object, projectService(object.value, defaultNamespace, families)) ?? [];
  });
  return allocateServices(drafts, ranges);
}

/** Returns the namespaces that are defined, and those that only objects in them name. */
function loadNamespaces(
  collection: ManifestCollection,
  objects: readonly { readonly namespace: string }[],
  sources: Map<string, ManifestObject>,
): readonly NamespaceRecord[] {
  const namespaces = new Map<string, NamespaceRecord>();
  for (const object of collection.ofKind('Namespace')) {
    const record = project(collection, object, projectNamespace(object.value));
    if (record === undefined) continue;
    namespaces.set(record.name, record);
    sources.set(`Namespace ${record.name}`, object);
  }
  for (const { namespace } of objects) {
    if (!namespaces.has(namespace)) namespaces.set(namespace, namespaceRecord(namespace));
  }
  return [...namespaces.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function byKey(a: { namespace: string; name: string }, b: { namespace: string; name: string }): number {
  if (a.namespace !== b.namespace) return a.namespace < b.namespace ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

/**
 * Projects raw API objects, as parsed from JSON, to the records of records.ts. Nothing here throws:
 * whatever an object contains, it yields a record or none, and the problems found. Fields that
 * podfence does not use are ignored.
 */
import { canonicalAddress } from './addresses.ts';
import { Field, type Problem, type Projection, readEach } from './field.ts';
import { readMode } from './mode.ts';
import { readIdentity, readPortName, readPortNumber, readProtocol } from './names.ts';
import type { ContainerPort, NamespaceRecord, PodController, PodPhase, PodRecord } from './records.ts';

export type { Path, Projection } from './field.ts';
export { projectPolicy } from './projection-policy.ts';

/** The label that the API server adds to every namespace. */
const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

/** Projects a core/v1 Namespace. Without a usable name there is no record. */
export function projectNamespace(object: unknown): Projection<NamespaceRecord> {
  const problems: Problem[] = [];
  const metadata = new Field(object, problems).child('metadata');
  const { name, labels } = readIdentity(metadata, '');
  const mode = readMode(metadata);
  return { record: name === undefined ? undefined : { ...namespaceRecord(name, labels), ...mode }, problems };
}

/** Returns the record of a namespace with these labels and the one that every namespace has. */
export function namespaceRecord(name: string, labels: Readonly<Record<string, string>> = {}): NamespaceRecord {
  return { kind: 'Namespace', name, labels: { ...labels, [NAMESPACE_NAME_LABEL]: name } };
}

/**
 * Projects a core/v1 Pod. Without a usable name there is no record; an address or port with a
 * problem is left out.
 */
export function projectPod(object: unknown, defaultNamespace = 'default'): Projection<PodRecord> {
  const problems: Problem[] = [];
  const root = new Field(object, problems);
  const metadata = root.child('metadata');
  const { name, namespace, labels } = readIdentity(metadata, defaultNamespace);
  const spec = root.child('spec');
  spec.keys();
  const nodeName = spec.child('nodeName').text();
  const status = root.child('status');
  const addresses = readAddresses(status);
  const hostNetwork = spec.child('hostNetwork').flag();
  const ports = readContainerPorts(spec);
  if (name === undefined) return { record: undefined, problems };
  const scheduled = nodeName === undefined || nodeName === '' ? {} : { nodeName };
  // Kept only beside addresses: the kubelet sets startTime before them, which would change the
  // record once more.
  const started = addresses.length === 0 ? {} : readStart(status.child('startTime').value);
  const placed = { ...scheduled, addresses, ...started, hostNetwork };
  const life = { ...readLife(metadata), ...readStanding(status, addresses.length > 0) };
  return { record: { kind: 'Pod', namespace, name, ...life, labels, ...placed, ports }, problems };
}

/** Reports no problems: none of these fields decides a packet by itself. */
function readLife(metadata: Field): Pick<PodRecord, 'uid' | 'created' | 'deleting' | 'controller'> {
  // The runtime knows a static pod by the hash of its manifest, which its mirror in the API has as
  // an annotation. (kubelet/types: ConfigMirrorAnnotationKey, ConfigHashAnnotationKey)
  const annotations = metadata.child('annotations').value as Readonly<Record<string, unknown>> | undefined;
  const isMirror = typeof annotations?.['kubernetes.io/config.mirror'] === 'string';
  const uid = isMirror ? annotations['kubernetes.io/config.hash'] : metadata.child('uid').value;
  const created = readSeconds(metadata.child('creationTimestamp').value);
  const controller = readController(metadata.child('ownerReferences').value);
  return {
    ...(typeof uid === 'string' && uid !== '' && { uid }),
    ...(created !== undefined && { created }),
    ...(typeof metadata.child('deletionTimestamp').value === 'string' && { deleting: true as const }),
    ...(controller !== undefined && { controller }),
  };
}

function readController(references: unknown): PodController | undefined {
  if (!Array.isArray(references)) return undefined;
  const { kind, name } = references.find((each) => each?.controller === true) ?? {};
  return typeof kind === 'string' && typeof name === 'string' ? { kind, name } : undefined;
}

const PHASES: readonly unknown[] = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] satisfies PodPhase[];

function readStanding(status: Field, hasAddress: boolean): Pick<PodRecord, 'phase' | 'lost' | 'unready'> {
  const phase = status.child('phase').value;
  const isLost = phase === 'Unknown' || status.child('reason').value === 'NodeLost';
  return {
    ...(PHASES.includes(phase) && { phase: phase as PodPhase }),
    ...(isLost && { lost: true as const }),
    ...(hasAddress && isUnready(status.child('conditions').value) && { unready: true as const }),
  };
}

function isUnready(conditions: unknown): boolean {
  return Array.isArray(conditions) && conditions.some((each) => each?.type === 'Ready' && each.status === 'False');
}

/** Whether the pod has ended. Its address is free then, and may belong to another pod already. */
export function isTerminated(phase: unknown): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

function readStart(value: unknown): Pick<PodRecord, 'startedAt'> {
  const startedAt = readSeconds(value);
  return startedAt === undefined ? {} : { startedAt };
}

function readSeconds(timestamp: unknown): number | undefined {
  const milliseconds = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN;
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000);
}

function readAddresses(status: Field): readonly string[] {
  if (isTerminated(status.child('phase').value)) return [];
  const listed = status
    .child('podIPs')
    .list()
    .map((element) => {
      element.keys();
      return element.child('ip');
    });
  const fields = listed.length > 0 ? listed : [status.child('podIP')];
  return readEach(fields, 'an IP address', canonicalAddress);
}

function readContainerPorts(spec: Field): readonly ContainerPort[] {
  // An init container that always restarts is a sidecar: it runs beside the containers.
  const sidecars = spec
    .child('initContainers')
    .list()
    .filter((container) => container.child('restartPolicy').value === 'Always');
  const ports: ContainerPort[] = [];
  for (const container of [...spec.child('containers').list(), ...sidecars]) {
    container.keys();
    for (const entry of container.child('ports').list()) {
      const port = readContainerPort(entry);
      if (port !== undefined) ports.push(port);
    }
  }
  return ports;
}

function readContainerPort(entry: Field): ContainerPort | undefined {
  entry.keys();
  const number = entry.child('containerPort');
  const port = readPortNumber(number);
  if (number.isAbsent && entry.isClean) number.problem('the container port has no number');
  const nameField = entry.child('name');
  const name = nameField.value === '' ? undefined : readPortName(nameField);
  const protocolField = entry.child('protocol');
  const protocol = protocolField.value === '' ? 'TCP' : readProtocol(protocolField);
  if (port === undefined || protocol === undefined) return undefined;
  return { ...(name === undefined ? {} : { name }), port, protocol };
}

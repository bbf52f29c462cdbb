/**
 * core/v1 Service -> ServiceRecord. The filter never sees a Service, because it judges packets
 * after Service DNAT. The lab needs them to do that DNAT.
 */
import { canonicalAddress, type Family, parseAddress } from '../cluster/addresses.ts';
import { describe, Field, type Problem, type Projection, show } from '../cluster/field.ts';
import { readIdentity, readLabels, readPort, readPortNumber, readProtocol } from '../cluster/names.ts';
import { didYouMean } from '../cluster/nearest.ts';
import type { ServicePort, ServiceRecord, ServiceType } from '../cluster/services.ts';
import { type AddressRange, fnv1a } from './address-range.ts';

export type { ServiceRecord } from '../cluster/services.ts';

/** A Service as written, before it gets the addresses and node ports that its manifest omits. */
export interface ServiceDraft extends ServiceRecord {
  /** The families in which it needs an address if `clusterIPs` is empty and it is not headless. */
  readonly families: readonly Family[];
  readonly allocatesNodePorts: boolean;
}

const FAMILIES: readonly Family[] = ['IPv4', 'IPv6'];
const TYPES: readonly string[] = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'];
const FIRST_NODE_PORT = 30000;
const LAST_NODE_PORT = 32767;
const NODE_PORTS = LAST_NODE_PORT - FIRST_NODE_PORT + 1;

/** Whether a Service is only a DNS alias, which needs no DNAT. */
export function isExternalName(object: unknown): boolean {
  return new Field(object, []).child('spec').child('type').value === 'ExternalName';
}

/**
 * @param clusterFamilies those in which the cluster assigns addresses to Services, the preferred
 * one first. A Service with addresses of its own may use any family.
 */
export function projectService(
  object: unknown,
  defaultNamespace: string,
  clusterFamilies: readonly Family[],
): Projection<ServiceDraft> {
  const problems: Problem[] = [];
  const root = new Field(object, problems);
  const { name, namespace } = readIdentity(root.child('metadata'), defaultNamespace);
  const spec = root.child('spec');
  spec.keys();
  const type = readType(spec.child('type'));
  const { clusterIPs, headless } = readClusterIPs(spec);
  const exposed = type !== 'ClusterIP';
  const portFields = spec.child('ports').list();
  const ports = portFields.flatMap((field) => readServicePort(field, exposed, portFields.length > 1));
  if (portFields.length === 0 && !headless && spec.child('ports').isClean)
    spec.child('ports').problem('the Service has no ports');
  const selector = readLabels(spec.child('selector'));
  // A Service that has its addresses, or needs none, may use families beyond `clusterFamilies`.
  const isAddressed = headless || clusterIPs.length > 0;
  const families = readFamilies(spec, isAddressed ? FAMILIES : clusterFamilies);
  const allocatesNodePorts = exposed && spec.child('allocateLoadBalancerNodePorts').value !== false;
  if (name === undefined) return { record: undefined, problems };
  return {
    record: { namespace, name, type, clusterIPs, ports, selector, headless, families, allocatesNodePorts },
    problems,
  };
}

/**
 * Assigns the addresses and node ports that manifests omit. The order of `drafts` is irrelevant.
 */
export function allocateServices(
  drafts: readonly ServiceDraft[],
  ranges: ReadonlyMap<Family, AddressRange>,
): readonly ServiceRecord[] {
  const nodePorts = new Set<number>();
  for (const draft of drafts) {
    for (const { nodePort } of draft.ports) if (nodePort !== undefined) nodePorts.add(nodePort);
    for (const text of draft.clusterIPs) {
      const address = parseAddress(text);
      if (address !== undefined) ranges.get(address.family)?.reserve(address);
    }
  }
  const byKey = (service: ServiceRecord) => `${service.namespace}/${service.name}`;
  return drafts
    .toSorted((a, b) => (byKey(a) < byKey(b) ? -1 : 1))
    .map(({ families, allocatesNodePorts, ...service }) => {
      const wanted = service.headless || service.clusterIPs.length > 0 ? [] : families;
      const allocated = wanted.flatMap((family) => ranges.get(family)?.take(byKey(service)) ?? []);
      const ports = allocatesNodePorts
        ? service.ports.map((port) => ({
            ...port,
            nodePort: port.nodePort ?? takeNodePort(nodePorts, byKey(service), port),
          }))
        : service.ports;
      return { ...service, ports, clusterIPs: [...service.clusterIPs, ...allocated] };
    });
}

function takeNodePort(taken: Set<number>, service: string, { port, protocol }: ServicePort): number {
  const start = fnv1a(`${service}:${port}/${protocol}`) % NODE_PORTS;
  for (let step = 0; step < NODE_PORTS; step++) {
    const nodePort = FIRST_NODE_PORT + ((start + step) % NODE_PORTS);
    if (taken.has(nodePort)) continue;
    taken.add(nodePort);
    return nodePort;
  }
  // All 2768 node ports are taken: a shared one is no worse than none.
  return FIRST_NODE_PORT + start;
}

function readType(field: Field): ServiceType {
  const type = field.text() ?? 'ClusterIP';
  if (type === 'NodePort' || type === 'LoadBalancer') return type;
  if (type !== 'ClusterIP') {
    field.problem(`there is no Service type ${show(type)}; types are ${TYPES.join(', ')}`, didYouMean(type, TYPES));
  }
  return 'ClusterIP';
}

function readClusterIPs(spec: Field): { readonly clusterIPs: readonly string[]; readonly headless: boolean } {
  const listed = spec.child('clusterIPs').list();
  const fields = listed.length > 0 ? listed : [spec.child('clusterIP')];
  const clusterIPs: string[] = [];
  for (const field of fields) {
    const text = field.text();
    if (text === 'None') return { clusterIPs: [], headless: true };
    if (text === undefined || text === '') continue;
    const address = canonicalAddress(text);
    if (address === undefined) {
      field.problem(`${show(text)} is not an IP address`, /^none$/i.test(text) ? 'Did you mean None?' : undefined);
    } else {
      clusterIPs.push(address);
    }
  }
  return { clusterIPs, headless: false };
}

function readFamilies(spec: Field, clusterFamilies: readonly Family[]): readonly Family[] {
  const wanted: Family[] = [];
  for (const field of spec.child('ipFamilies').list()) {
    const family = clusterFamilies.find((known) => known === field.value);
    if (family !== undefined) wanted.push(family);
    else if (field.value === 'IPv4' || field.value === 'IPv6')
      field.problem(`this cluster has no ${field.value} addresses`);
    else field.problem(`expected IPv4 or IPv6, found ${describe(field.value)}`, familyHint(field.value));
  }
  const policy = spec.child('ipFamilyPolicy').value;
  const isDual = policy === 'PreferDualStack' || policy === 'RequireDualStack';
  if (isDual) return [...new Set([...wanted, ...clusterFamilies])];
  return wanted.length > 0 ? [...new Set(wanted)] : clusterFamilies.slice(0, 1);
}

function familyHint(value: unknown): string | undefined {
  return typeof value === 'string' ? didYouMean(value, ['IPv4', 'IPv6']) : undefined;
}

/** Returns one port; none if the entry has no usable port or protocol. */
function readServicePort(entry: Field, exposed: boolean, needsName: boolean): readonly ServicePort[] {
  entry.keys();
  const portField = entry.child('port');
  const port = readPortNumber(portField);
  if (portField.isAbsent && entry.isClean) portField.problem('the Service port has no number');
  const nameField = entry.child('name');
  const name = nameField.value === '' ? undefined : nameField.text();
  if (needsName && name === undefined && nameField.isClean)
    nameField.problem('a Service with several ports needs a name for each');
  const protocol = entry.child('protocol').value === '' ? 'TCP' : readProtocol(entry.child('protocol'));
  const target = entry.child('targetPort');
  // To the API 0 and the empty string mean that the field is absent.
  const targetPort = target.value === 0 || target.value === '' ? undefined : readPort(target);
  const nodePort = exposed ? readNodePort(entry.child('nodePort')) : undefined;
  if (port === undefined || protocol === undefined || !target.isClean) return [];
  return [
    {
      ...(name === undefined ? {} : { name }),
      protocol,
      port,
      targetPort: targetPort ?? port,
      ...(nodePort === undefined ? {} : { nodePort }),
    },
  ];
}

function readNodePort(field: Field): number | undefined {
  if (field.value === 0) return undefined;
  const port = readPortNumber(field);
  if (port === undefined || (port >= FIRST_NODE_PORT && port <= LAST_NODE_PORT)) return port;
  field.problem(
    `${port} is not a node port; node ports are ${FIRST_NODE_PORT} to ${LAST_NODE_PORT}`,
    'Leave it out to get one.',
  );
  return undefined;
}

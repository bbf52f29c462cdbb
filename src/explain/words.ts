/** Describes rules in words. */
import type {
  LabelSelector,
  Labels,
  PodRecord,
  PolicyPeer,
  PolicyPort,
  SelectorRequirement,
} from '../cluster/records.ts';
import { isEmptySelector, labelOf, requirementsOf } from '../cluster/selector.ts';
import { type FlowProtocol, NO_PORT } from './judgement.ts';

/** Most names listed in a sentence. */
const MOST_LISTED = 5;

/** The label that the API server gives every namespace. */
export const NAMESPACE_NAME = 'kubernetes.io/metadata.name';

/** `port 80`, `port 53/udp`, `ICMP`. */
export function flowPortText(protocol: FlowProtocol, port: number): string {
  return port === NO_PORT ? protocol : `port ${port}${protocolSuffix(protocol)}`;
}

/** `port 80`, `port http`, `ports 8000-8080/udp`, `every port of SCTP`. */
export function policyPortText({ protocol, port, endPort }: PolicyPort): string {
  if (port === undefined) return `every port of ${protocol}`;
  const range = endPort === undefined || endPort === port ? `port ${port}` : `ports ${port}-${endPort}`;
  return `${range}${protocolSuffix(protocol)}`;
}

function protocolSuffix(protocol: FlowProtocol): string {
  return protocol === 'TCP' ? '' : `/${protocol.toLowerCase()}`;
}

/** `pods with role=web`, `any pod of namespaces with team=a`, `10.0.0.0/8 except 10.1.0.0/16`. */
export function peerText({ ipBlock, podSelector, namespaceSelector }: PolicyPeer): string {
  if (ipBlock !== undefined) {
    const { cidr, except } = ipBlock;
    return except.length === 0 ? cidr : `${cidr} except ${except.join(', ')}`;
  }
  const pods =
    podSelector === undefined || isEmptySelector(podSelector) ? 'any pod' : `pods ${selectorText(podSelector)}`;
  return namespaceSelector === undefined ? pods : `${pods} of ${namespacesText(namespaceSelector)}`;
}

function namespacesText(selector: LabelSelector): string {
  if (isEmptySelector(selector)) return 'any namespace';
  const [only, ...others] = requirementsOf(selector);
  if (only?.key === NAMESPACE_NAME && only.operator === 'In' && others.length === 0) {
    return `namespace ${only.values.join(' or ')}`;
  }
  return `namespaces ${selectorText(selector)}`;
}

/** `with app=web and role in (a, b), without a label tier`; the selector is not empty. */
export function selectorText(selector: LabelSelector): string {
  const requirements = requirementsOf(selector);
  const absent = requirements.filter(({ operator }) => operator === 'DoesNotExist').map(({ key }) => `a label ${key}`);
  const present = requirements.filter(({ operator }) => operator !== 'DoesNotExist').map(requirementText);
  const parts = [...(present.length > 0 ? [`with ${and(present)}`] : [])];
  if (absent.length > 0) parts.push(`without ${absent.join(' or ')}`);
  return parts.join(' and ');
}

function requirementText({ key, operator, values }: SelectorRequirement): string {
  switch (operator) {
    case 'In':
      return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(', ')})`;
    case 'NotIn':
      return values.length === 1 ? `${key} not ${values[0]}` : `${key} not in (${values.join(', ')})`;
    default:
      return `a label ${key}`;
  }
}

/** Describes the labels under these keys: `role=frontend and no label tier`. */
export function labelsText(labels: Labels, keys: readonly string[]): string {
  return and(
    [...new Set(keys)].map((key) => {
      const value = labelOf(labels, key);
      return value === undefined ? `no label ${key}` : `${key}=${value}`;
    }),
  );
}

/** `http (8080) and metrics (9090/udp)`; empty if the pod names no port. */
export function namedPortsText({ ports }: PodRecord): string {
  return and(
    ports.flatMap(({ name, port, protocol }) => (name ? [`${name} (${port}${protocolSuffix(protocol)})`] : [])),
  );
}

/** Lists the first names, and how many more there are. */
export function listed(names: readonly string[], most = MOST_LISTED): string {
  const rest = names.length - most;
  return `${names.slice(0, most).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function and(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

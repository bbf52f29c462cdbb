/**
 * How a peer or a port of a rule differs from a flow, and by how much: the smaller the difference,
 * the likelier the author meant this rule.
 */

import { addressBits, isMistake, parseAddress, parseCidr } from '../cluster/addresses.ts';
import type { PodRecord, PolicyPeer, PolicyPort } from '../cluster/records.ts';
import { matchesRequirement, requirementsOf } from '../cluster/selector.ts';
import { type AttributedFlow, type Attribution, isInCidr } from '../policy/attribution.ts';
import type { Difference } from './explanation.ts';
import type { FlowEnd } from './flow-end.ts';
import { type FlowProtocol, NO_PORT } from './judgement.ts';
import { flowPortText, labelsText, NAMESPACE_NAME, namedPortsText } from './words.ts';

export interface Miss {
  readonly difference: Difference;
  /** 0 would match. Only the order matters. */
  readonly distance: number;
  /** A clause: `frontend-1 has role=frontend`. */
  readonly text: string;
}

/**
 * The address is still near a block if widening the prefix by this many bits makes the block
 * contain it.
 */
const NEAR_BITS = 8;

/** One end of a flow as a rule's peer sees it. */
export interface PeerEnd {
  readonly end: FlowEnd;
  /** Undefined if no selector can match the end. */
  readonly pod: PodRecord | undefined;
  /** The address is a placeholder, so its distance to a block says nothing. */
  readonly isAssigned: boolean;
}

/** Returns what keeps `peer`, in a policy of `namespace`, from matching; empty if it matches. */
export function peerMisses(
  attribution: Attribution,
  peer: PolicyPeer,
  namespace: string,
  { end, pod }: PeerEnd,
): readonly Miss[] {
  if (peer.ipBlock !== undefined) return blockMisses(peer.ipBlock, end.address);
  if (pod === undefined) return [noPodMiss(end)];
  return [...podMisses(peer, pod), ...namespaceMisses(attribution, peer, namespace, pod)];
}

function noPodMiss(end: FlowEnd): Miss {
  if (end.kind === 'pod') {
    return {
      difference: 'host-network',
      distance: 4,
      text: `${end.name} uses its node's network, which no selector matches`,
    };
  }
  // Further than any block, because only blocks select addresses that are not pods.
  const what = end.kind === 'node' ? `node ${end.name}` : end.address;
  return { difference: 'not-a-pod', distance: 8, text: `${what} is not a pod of the cluster` };
}

function podMisses({ podSelector }: PolicyPeer, { name, labels }: PodRecord): Miss[] {
  const keys = podSelector === undefined ? [] : unmetKeys(podSelector, labels);
  if (keys.length === 0) return [];
  return [{ difference: 'labels', distance: 2 * keys.length, text: `${name} has ${labelsText(labels, keys)}` }];
}

function namespaceMisses(
  attribution: Attribution,
  peer: PolicyPeer,
  own: string,
  { namespace, name }: PodRecord,
): Miss[] {
  const { namespaceSelector } = peer;
  if (namespaceSelector === undefined) {
    if (namespace === own) return [];
    const text = `${name} is in namespace ${namespace}, and without a namespaceSelector only pods of ${own} match`;
    return [{ difference: 'other-namespace', distance: 2, text }];
  }
  const record = attribution.namespace(namespace);
  if (record === undefined) {
    return [{ difference: 'namespace-labels', distance: 3, text: `namespace ${namespace} is not known` }];
  }
  const keys = unmetKeys(namespaceSelector, record.labels);
  if (keys.length === 0) return [];
  const isAboutName = keys.length === 1 && keys[0] === NAMESPACE_NAME;
  const text = isAboutName
    ? `${name} is in namespace ${namespace}`
    : `namespace ${namespace} has ${labelsText(record.labels, keys)}`;
  return [{ difference: 'namespace-labels', distance: 2 * keys.length, text }];
}

/** Returns the keys of the requirements that the labels do not meet. */
export function unmetKeys(
  selector: Parameters<typeof requirementsOf>[0],
  labels: PodRecord['labels'],
): readonly string[] {
  return requirementsOf(selector)
    .filter((requirement) => !matchesRequirement(requirement, labels))
    .map(({ key }) => key);
}

function blockMisses({ cidr, except }: NonNullable<PolicyPeer['ipBlock']>, address: string): Miss[] {
  if (!isInCidr(address, cidr)) {
    const text = `${address} is outside ${cidr}`;
    return [{ difference: 'outside-cidr', distance: isNear(address, cidr) ? 3 : 7, text }];
  }
  const holes = except.filter((hole) => isInCidr(address, hole));
  if (holes.length === 0) return [];
  return [{ difference: 'except', distance: 1, text: `${address} is in the except ${holes.join(' and ')}` }];
}

function isNear(address: string, cidr: string): boolean {
  const parsed = parseAddress(address);
  const block = parseCidr(cidr);
  if (parsed === undefined || isMistake(block) || parsed.family !== block.family || block.prefix <= NEAR_BITS)
    return false;
  const ignored = BigInt(addressBits(block.family) - block.prefix + NEAR_BITS);
  return parsed.value >> ignored === block.first >> ignored;
}

/** Returns what keeps `wanted` from matching the flow; undefined if it matches. */
export function portMiss(
  attribution: Attribution,
  wanted: PolicyPort,
  protocol: FlowProtocol,
  flow: AttributedFlow,
): Miss | undefined {
  if (attribution.isPort(wanted, flow)) return undefined;
  if (flow.port === NO_PORT) {
    return {
      difference: 'protocol',
      distance: 3,
      text: `${protocol} has no ports: only a rule without ports allows it`,
    };
  }
  if (wanted.protocol !== protocol) return protocolMiss(wanted, protocol, flow);
  if (typeof wanted.port === 'string') return namedPortMiss(attribution, wanted.port, protocol, flow);
  return { difference: 'port', distance: 2, text: `this is ${flowPortText(protocol, flow.port)}` };
}

function protocolMiss({ port, endPort }: PolicyPort, protocol: FlowProtocol, flow: AttributedFlow): Miss {
  const samePort = typeof port === 'number' && flow.port >= port && flow.port <= (endPort ?? port);
  if (samePort) return { difference: 'protocol', distance: 1, text: `this is ${protocol}` };
  const text = `this is ${flowPortText(protocol, flow.port)}${protocol === 'TCP' ? '/tcp' : ''}`;
  return { difference: 'protocol', distance: port === undefined ? 2 : 4, text };
}

function namedPortMiss(attribution: Attribution, name: string, protocol: FlowProtocol, flow: AttributedFlow): Miss {
  const pod = attribution.podAt(flow.destination);
  const asked = flowPortText(protocol, flow.port);
  if (pod === undefined) {
    return { difference: 'named-port', distance: 3, text: `${flow.destination} is not a pod and has no named ports` };
  }
  const numbers = pod.ports.filter((each) => each.name === name && each.protocol === protocol).map(({ port }) => port);
  if (numbers.length > 0) {
    const text = `port ${name} of ${pod.name} is ${numbers.join(' and ')}, and this is ${asked}`;
    return { difference: 'named-port', distance: 2, text };
  }
  const known = namedPortsText(pod);
  const instead = known === '' ? 'it names none' : `it names ${known}`;
  return {
    difference: 'named-port',
    distance: 1.5,
    text: `${pod.name} has no ${protocol} port named ${name}; ${instead}`,
  };
}

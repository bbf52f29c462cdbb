/** Policies that would allow a denied flow, and as little else as a NetworkPolicy can. */
import { MODE_ANNOTATION, modeOf } from '../cluster/mode.ts';
import type { Direction, LabelSelector, NamespaceRecord, PodRecord, PolicyMode } from '../cluster/records.ts';
import type { Suggestion } from './explanation.ts';
import { endName, type FlowEnd } from './flow-end.ts';
import { type FlowProtocol, NO_PORT } from './judgement.ts';
import { selectionOf } from './pod-selection.ts';
import { listed, NAMESPACE_NAME } from './words.ts';
import { type Json, yamlText } from './yaml-text.ts';

/** An end, and what is known about it. */
export interface SuggestedEnd {
  readonly end: FlowEnd;
  /** Undefined if no selector can match the end. */
  readonly pod: PodRecord | undefined;
  /** All pods of its namespace. */
  readonly neighbours: readonly PodRecord[];
  /** The pod's namespace. Without its record, no namespaceSelector matches. */
  readonly namespace: NamespaceRecord | undefined;
  /** The address is a placeholder. */
  readonly isAssigned: boolean;
}

export interface SuggestionInput {
  /** The directions that deny. */
  readonly directions: readonly Direction[];
  /**
   * The mode of the denying policies: a policy in another mode would not change the verdict.
   * Undefined if the mode makes no difference.
   */
  readonly mode: PolicyMode | undefined;
  readonly source: SuggestedEnd;
  readonly destination: SuggestedEnd;
  readonly protocol: FlowProtocol;
  readonly port: number;
  /** Whether a policy with this key exists. */
  isTaken(key: string): boolean;
}

/** Longest name that also fits a label (RFC 1123 label). */
const LONGEST_NAME = 63;
const MOST_NAMED = 3;

export function suggestionOf(input: SuggestionInput): Suggestion {
  const policies = input.directions.map((direction) => policyOf(input, direction));
  return { yaml: policies.map(yamlText).join('---\n'), notes: notesOf(input) };
}

function policyOf(input: SuggestionInput, direction: Direction): { readonly [key: string]: Json } {
  const { source, destination, protocol, port, mode } = input;
  const [own, peer] = direction === 'egress' ? [source, destination] : [destination, source];
  const namespace = own.pod?.namespace ?? '';
  const peers = { [direction === 'egress' ? 'to' : 'from']: [peerOf(peer, namespace)] };
  const rule = port === NO_PORT ? peers : { ...peers, ports: [{ protocol, port }] };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      name: freeName(input, direction, namespace),
      namespace,
      ...(mode === undefined || modeOf({}, own.namespace) === mode ? {} : { annotations: { [MODE_ANNOTATION]: mode } }),
    },
    spec: {
      podSelector: selectorOf(own),
      policyTypes: [direction === 'egress' ? 'Egress' : 'Ingress'],
      [direction]: [rule],
    },
  };
}

function peerOf(suggested: SuggestedEnd, namespace: string): Json {
  const { end, pod } = suggested;
  if (pod === undefined || (pod.namespace !== namespace && suggested.namespace === undefined)) {
    return { ipBlock: { cidr: `${end.address}/${end.address.includes(':') ? 128 : 32}` } };
  }
  const podSelector = selectorOf(suggested);
  if (pod.namespace === namespace) return { podSelector };
  return { namespaceSelector: { matchLabels: { [NAMESPACE_NAME]: pod.namespace } }, podSelector };
}

function selectorOf({ pod, neighbours }: SuggestedEnd): { readonly [key: string]: Json } {
  if (pod === undefined) return {};
  const { matchLabels, matchExpressions } = selectionOf(pod, neighbours).selector;
  return { ...nonEmpty({ matchLabels }), ...expressions(matchExpressions) };
}

function nonEmpty({ matchLabels }: Pick<LabelSelector, 'matchLabels'>): { readonly [key: string]: Json } {
  return Object.keys(matchLabels).length === 0 ? {} : { matchLabels };
}

function expressions(requirements: LabelSelector['matchExpressions']): { readonly [key: string]: Json } {
  if (requirements.length === 0) return {};
  return { matchExpressions: requirements.map(({ key, operator }) => ({ key, operator })) };
}

function freeName(
  { source, destination, port, isTaken }: SuggestionInput,
  direction: Direction,
  namespace: string,
): string {
  const [from, to] = [nameOf(source), nameOf(destination)];
  const ends = direction === 'egress' ? `${from}-to-${to}` : `${to}-from-${from}`;
  const base = `${ends}${port === NO_PORT ? '' : `-${port}`}`;
  for (let round = 1; ; round++) {
    const suffix = round === 1 ? '' : `-${round}`;
    const name = `${base.slice(0, LONGEST_NAME - suffix.length).replace(/-+$/, '')}${suffix}`;
    if (!isTaken(`${namespace}/${name}`)) return name;
  }
}

/** Replaces characters that an object's name may not contain. */
function nameOf({ end }: SuggestedEnd): string {
  const name = end.kind === 'address' ? end.address : end.name;
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
}

function notesOf({ source, destination, port }: SuggestionInput): readonly string[] {
  const notes = [source, destination].flatMap(({ end, pod, neighbours, isAssigned }) => {
    if (pod === undefined) {
      const madeUp = `${end.address} is made up because the address of ${endName(end)} is not known: replace it with the real one.`;
      const others = `It opens the same to everything that uses the network of ${whereOf(end)}.`;
      return [...(isAssigned ? [madeUp] : []), ...(end.kind === 'address' ? [] : [others])];
    }
    const alike = selectionOf(pod, neighbours).alike.map(({ namespace, name }) => `${namespace}/${name}`);
    return alike.length === 0 ? [] : [`It also selects the pods with the same labels: ${listed(alike, MOST_NAMED)}.`];
  });
  return port === NO_PORT ? [...notes, 'A policy cannot allow ICMP alone: this opens every port and protocol.'] : notes;
}

function whereOf(end: FlowEnd): string {
  if (end.kind === 'node') return `node ${end.name}`;
  return end.kind === 'pod' && end.node !== undefined ? `node ${end.node}` : 'its node';
}

/** Finds peers that match nothing, and two peers that were meant as one. */
import { formatPath, type Path } from '../cluster/field.ts';
import type {
  Direction,
  LabelSelector,
  Labels,
  NamespaceRecord,
  PodRecord,
  PolicyPeer,
  PolicyRecord,
} from '../cluster/records.ts';
import { isEmptySelector, matchesSelector } from '../cluster/selector.ts';
import type { Mistake } from './finding.ts';
import { type KnownCluster, NAMESPACE_NAME_LABEL } from './known-cluster.ts';
import type { Severity } from './rules.ts';
import { isPositive } from './selector-cover.ts';
import { selectorText } from './selector-text.ts';

/** Usual labels of the cluster's DNS pods, which are in kube-system. */
const DNS_LABELS: Readonly<Record<string, readonly string[]>> = {
  'k8s-app': ['kube-dns', 'coredns', 'node-local-dns'],
};
const DNS_NAMESPACE = 'kube-system';

/** A peer, and its place in a policy. */
interface Place {
  readonly policy: PolicyRecord;
  readonly direction: Direction;
  readonly rule: number;
  readonly index: number;
  readonly peer: PolicyPeer;
}

export function* peerMistakes(cluster: KnownCluster, policy: PolicyRecord): Iterable<Mistake> {
  for (const direction of policy.isolates) {
    for (const [rule, { peers }] of policy[direction].entries()) {
      for (const [index, peer] of peers.entries()) {
        const place: Place = { policy, direction, rule, index, peer };
        const split = splitPeer(cluster, place, peers);
        if (split !== undefined) yield split;
        else yield* unmatched(cluster, place);
      }
    }
  }
}

function pathOf({ direction, rule, index }: Place, ...rest: Path): Path {
  return ['spec', direction, rule, peerList(direction), index, ...rest];
}

export function peerList(direction: Direction): 'from' | 'to' {
  return direction === 'ingress' ? 'from' : 'to';
}

/**
 * Finds an entry whose podSelector only makes sense together with the namespaceSelector of another
 * entry: there is one `- ` too many. Two separate entries are often right, so there must be a sign.
 * Either the entry adds nothing to the other, or it matches nothing by itself, but does match pods
 * of the other's namespaces.
 */
function splitPeer(cluster: KnownCluster, place: Place, peers: readonly PolicyPeer[]): Mistake | undefined {
  const { peer, index, policy } = place;
  const { podSelector } = peer;
  if (podSelector === undefined || peer.namespaceSelector !== undefined || isEmptySelector(podSelector))
    return undefined;
  for (const [other, { podSelector: pods, namespaceSelector }] of peers.entries()) {
    if (namespaceSelector === undefined || pods !== undefined) continue;
    const sign = signOfSplit(cluster, policy, podSelector, namespaceSelector);
    if (sign === undefined) continue;
    const [first, second] = [Math.min(index, other), Math.max(index, other)];
    const list = formatPath(pathOf({ ...place, index: first }).slice(0, -1));
    return {
      rule: 'or-instead-of-and',
      path: pathOf(place),
      message: `pods with ${selectorText(podSelector)}, or all pods of namespaces with ${selectorText(namespaceSelector)}: ${list}[${first}] and [${second}] are two peers, and ${sign}`,
      hint: 'For pods that match both make it one peer: remove the `- ` in front of the second selector.',
    };
  }
  return undefined;
}

function signOfSplit(
  cluster: KnownCluster,
  { namespace }: PolicyRecord,
  podSelector: LabelSelector,
  namespaceSelector: LabelSelector,
): string | undefined {
  const own = cluster.definedNamespace(namespace)?.labels ?? { [NAMESPACE_NAME_LABEL]: namespace };
  const isOwn = isPositive(namespaceSelector) && matchesSelector(namespaceSelector, own);
  if (isOwn) return 'the second selector has no effect beside the first, which allows every pod of the own namespace';
  if (namespace !== DNS_NAMESPACE && isDns(podSelector) && matchesSelector(namespaceSelector, DNS_NAMESPACE_LABELS)) {
    return `the DNS pods are not in ${namespace}`;
  }
  if (!cluster.hasPods(namespace) || cluster.podsOf(namespace).select(podSelector).length > 0) return undefined;
  const [meant] = cluster.podsOfPeer({ podSelector, namespaceSelector }, namespace);
  return meant && `no pod of ${namespace} has these labels, but ${meant.namespace}/${meant.name} has`;
}

const DNS_NAMESPACE_LABELS = { [NAMESPACE_NAME_LABEL]: DNS_NAMESPACE };

function isDns({ matchLabels }: LabelSelector): boolean {
  return Object.entries(DNS_LABELS).some(([key, values]) => values.includes(matchLabels[key] ?? ''));
}

function* unmatched(cluster: KnownCluster, place: Place): Iterable<Mistake> {
  const { podSelector, namespaceSelector } = place.peer;
  if (namespaceSelector === undefined) {
    if (podSelector !== undefined) yield* unmatchedHere(cluster, place, podSelector);
    return;
  }
  const namespaces = cluster.namespacesOf(namespaceSelector);
  if (namespaces.length === 0) yield* unmatchedNamespace(cluster, place, namespaceSelector);
  else yield* unmatchedThere(cluster, place, namespaces, podSelector ?? EVERY_POD);
}

/** Checks a podSelector alone, which matches pods of the policy's own namespace. */
function* unmatchedHere(cluster: KnownCluster, place: Place, selector: LabelSelector): Iterable<Mistake> {
  const { namespace } = place.policy;
  if (isEmptySelector(selector) || cluster.podsOf(namespace).select(selector).length > 0) return;
  const path = pathOf(place, 'podSelector');
  const nobody = `no pod of ${namespace} has ${selectorText(selector)}`;
  if (namespace !== DNS_NAMESPACE && isDns(selector)) {
    const hint = `The DNS pods are in ${DNS_NAMESPACE}: add ${selectNamespace(DNS_NAMESPACE)} to the same peer.`;
    yield { rule: 'peer-matches-nothing', path, message: nobody, hint };
    return;
  }
  if (!cluster.hasPods(namespace)) return;
  const [host] = cluster.hostPods(namespace, selector);
  const [elsewhere] = cluster.pods.select(selector);
  if (host !== undefined) {
    yield { rule: 'peer-matches-nothing', path, message: nobody, hint: hostNetworkHint(host) };
  } else if (elsewhere !== undefined) {
    const there = elsewhere.namespace;
    const hint = `${there}/${elsewhere.name} has; a podSelector alone looks in the policy's own namespace. Did you mean to add ${selectNamespace(there)} to the same peer?`;
    yield { rule: 'peer-matches-nothing', path, message: nobody, hint };
  } else {
    yield noPod(cluster, place, [namespace], selector, nobody);
  }
}

const EVERY_POD: LabelSelector = { matchLabels: {}, matchExpressions: [] };

function* unmatchedThere(
  cluster: KnownCluster,
  place: Place,
  namespaces: readonly NamespaceRecord[],
  selector: LabelSelector,
): Iterable<Mistake> {
  const names = namespaces.map(({ name }) => name);
  if (names.some((name) => cluster.podsOf(name).select(selector).length > 0)) return;
  const [host] = names.flatMap((name) => cluster.hostPods(name, selector));
  const known = names.filter((name) => cluster.hasPods(name));
  const messageFor = (where: string) => `no pod of ${where} has ${selectorText(selector)}`;
  if (host !== undefined) yield onlyHostPods(cluster, place, host, messageFor(host.namespace));
  else if (known.length === 1) yield noPod(cluster, place, known, selector, messageFor(known.join()));
  else if (known.length > 1) {
    const where = `the ${known.length} namespaces that its namespaceSelector matches`;
    yield noPod(cluster, place, known, selector, messageFor(where));
  }
}

function onlyHostPods(cluster: KnownCluster, place: Place, host: PodRecord, nobody: string): Mistake {
  const { podSelector = EVERY_POD } = place.peer;
  const rule = 'peer-matches-nothing';
  if (!isEmptySelector(podSelector)) {
    return { rule, path: pathOf(place, 'podSelector'), message: nobody, hint: hostNetworkHint(host) };
  }
  return {
    rule,
    path: pathOf(place, 'namespaceSelector'),
    message: `the only pods there are in their node's network (hostNetwork), where no selector matches them: ${host.namespace}/${host.name}`,
    ...(cluster.showsNamespacesOf(place.peer, place.policy) ? {} : UNCERTAIN),
  };
}

function hostNetworkHint({ namespace, name }: PodRecord): string {
  return `${namespace}/${name} has, but it is in its node's network (hostNetwork), where no selector matches it.`;
}

function noPod(
  cluster: KnownCluster,
  place: Place,
  namespaces: readonly string[],
  selector: LabelSelector,
  message: string,
): Mistake {
  const [only = ''] = namespaces;
  const pods =
    namespaces.length === 1 ? cluster.podsOf(only).all : namespaces.flatMap((name) => cluster.podsOf(name).all);
  const closest = cluster.closest.find(selector, pods);
  const isCertain =
    closest?.isSlip ||
    (cluster.showsNamespacesOf(place.peer, place.policy) && cluster.lackKnownLabels(namespaces, selector));
  return {
    rule: 'peer-matches-nothing',
    path: pathOf(place, 'podSelector'),
    message,
    ...(closest && { hint: closest.hint }),
    ...(isCertain ? {} : UNCERTAIN),
  };
}

const UNCERTAIN: { readonly severity: Severity } = { severity: 'info' };

/**
 * Checks a namespaceSelector that matches no known namespace. The namespace that is meant may just
 * be missing from the manifests. The labels of the others show whether it is a mistake.
 */
function* unmatchedNamespace(cluster: KnownCluster, place: Place, selector: LabelSelector): Iterable<Mistake> {
  const isNamed = asksForName(selector);
  const known = cluster.namespaces.filter(
    ({ name }) => cluster.definedNamespace(name) !== undefined || (isNamed && cluster.hasPods(name)),
  );
  if (known.length === 0) return;
  const closest = cluster.closest.find(selector, known);
  // Other namespaces have such labels: the manifests may contain only the policy's own namespace.
  const isKnownKey =
    !isNamed && known.some(({ name, labels }) => name !== place.policy.namespace && hasKeyOf(selector, labels));
  yield {
    rule: 'peer-matches-nothing',
    path: pathOf(place, 'namespaceSelector'),
    message: `no namespace has ${selectorText(selector)}`,
    ...(closest && { hint: closest.hint }),
    ...(closest?.isSlip || isKnownKey ? {} : UNCERTAIN),
  };
}

function hasKeyOf({ matchLabels, matchExpressions }: LabelSelector, labels: Labels): boolean {
  return [...Object.keys(matchLabels), ...matchExpressions.map(({ key }) => key)].some((key) =>
    Object.hasOwn(labels, key),
  );
}

function asksForName({ matchLabels, matchExpressions }: LabelSelector): boolean {
  return (
    Object.hasOwn(matchLabels, NAMESPACE_NAME_LABEL) || matchExpressions.some(({ key }) => key === NAMESPACE_NAME_LABEL)
  );
}

function selectNamespace(name: string): string {
  return `namespaceSelector: {matchLabels: {${NAMESPACE_NAME_LABEL}: ${name}}}`;
}

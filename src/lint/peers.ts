/** Peers that match nobody, and two peers that were meant as one. */
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
import { selectorText } from './selector-text.ts';

/** Namespaces that no application's manifests hold in full. */
const SYSTEM_NAMESPACE = /^kube-/;
/** What the pods of the cluster's DNS are called everywhere; they are in kube-system. */
const DNS_LABELS: Readonly<Record<string, readonly string[]>> = {
  'k8s-app': ['kube-dns', 'coredns', 'node-local-dns'],
};
const DNS_NAMESPACE = 'kube-system';

/** A peer in its list. */
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
 * An entry with a podSelector that only makes sense together with the namespaceSelector of another: a `- ` too many. Two separate
 * entries are right as often as not, so there must be a sign: the entry adds nothing to the other, or matches nobody by itself and pods of
 * the other's namespaces if the two are taken together.
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
    return `the pods of DNS are not in ${namespace}`;
  }
  if (!cluster.hasPods(namespace) || cluster.podsOf(namespace).select(podSelector).length > 0) return undefined;
  const [meant] = cluster.podsOfPeer({ podSelector, namespaceSelector }, namespace);
  return meant && `no pod of ${namespace} has these labels, but ${meant.namespace}/${meant.name} has`;
}

const DNS_NAMESPACE_LABELS = { [NAMESPACE_NAME_LABEL]: DNS_NAMESPACE };

/** What it matches is said, not only what it does not match; `{}` says all. */
function isPositive({ matchExpressions }: LabelSelector): boolean {
  return matchExpressions.every(({ operator }) => operator === 'In' || operator === 'Exists');
}

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
  else if (podSelector !== undefined) yield* unmatchedThere(cluster, place, namespaces, podSelector);
}

/** A podSelector alone: pods of the policy's own namespace. */
function* unmatchedHere(cluster: KnownCluster, place: Place, selector: LabelSelector): Iterable<Mistake> {
  const { namespace } = place.policy;
  if (isEmptySelector(selector) || cluster.podsOf(namespace).select(selector).length > 0) return;
  const path = pathOf(place, 'podSelector');
  const nobody = `no pod of ${namespace} has ${selectorText(selector)}`;
  if (namespace !== DNS_NAMESPACE && isDns(selector)) {
    const hint = `The pods of DNS are in ${DNS_NAMESPACE}: add ${selectNamespace(DNS_NAMESPACE)} to the same peer.`;
    yield { rule: 'peer-matches-nothing', path, message: nobody, hint };
    return;
  }
  if (!cluster.hasPods(namespace)) return;
  const [host] = cluster.hostPods(namespace, selector);
  const [elsewhere] = cluster.pods.select(selector);
  if (host !== undefined) {
    const hint = `${host.namespace}/${host.name} has, but it is in its node's network (hostNetwork), where no selector matches it.`;
    yield { rule: 'peer-matches-nothing', path, message: nobody, hint };
  } else if (elsewhere !== undefined) {
    const there = elsewhere.namespace;
    const hint = `${there}/${elsewhere.name} has; a podSelector alone looks in the policy's own namespace. Did you mean to add ${selectNamespace(there)} to the same peer?`;
    yield { rule: 'peer-matches-nothing', path, message: nobody, hint };
  } else {
    yield noPod(cluster, place, cluster.podsOf(namespace).all, selector, nobody);
  }
}

function* unmatchedThere(
  cluster: KnownCluster,
  place: Place,
  namespaces: readonly NamespaceRecord[],
  selector: LabelSelector,
): Iterable<Mistake> {
  const known = namespaces.filter(({ name }) => cluster.hasPods(name));
  if (known.length === 0 || known.some(({ name }) => cluster.podsOf(name).select(selector).length > 0)) return;
  const [first] = known;
  const where = known.length === 1 ? first?.name : `the ${known.length} namespaces that its namespaceSelector matches`;
  const message = `no pod of ${where} has ${selectorText(selector)}`;
  const pods = known.flatMap(({ name }) => cluster.podsOf(name).all);
  yield noPod(cluster, place, pods, selector, message);
}

function noPod(
  cluster: KnownCluster,
  place: Place,
  pods: readonly PodRecord[],
  selector: LabelSelector,
  message: string,
): Mistake {
  const closest = cluster.closest.find(selector, pods);
  return {
    rule: 'peer-matches-nothing',
    path: pathOf(place, 'podSelector'),
    message,
    ...(closest && { hint: closest.hint }),
    ...(closest?.isSlip || showsWholeNamespace(cluster, place, pods) ? {} : UNCERTAIN),
  };
}

const UNCERTAIN: { readonly severity: Severity } = { severity: 'info' };

/**
 * Whether the manifests tell more of the namespaces in question than the policy's own pods. Those of a single service tell nothing about its
 * peers, and nobody's tell all about the system's namespaces or about every namespace there is.
 */
function showsWholeNamespace(cluster: KnownCluster, { policy, peer }: Place, pods: readonly PodRecord[]): boolean {
  if (cluster.mayHaveMorePods) return false;
  if (peer.namespaceSelector !== undefined && isEmptySelector(peer.namespaceSelector)) return false;
  if (pods.every(({ namespace }) => SYSTEM_NAMESPACE.test(namespace))) return false;
  const own = new Set(cluster.selectedBy(policy));
  return pods.some((pod) => !own.has(pod));
}

/** The namespace may well be one that these manifests do not hold; the labels of those that they do hold show a mistake. */
function* unmatchedNamespace(cluster: KnownCluster, place: Place, selector: LabelSelector): Iterable<Mistake> {
  const isNamed = asksForName(selector);
  const known = cluster.namespaces.filter(
    ({ name }) => cluster.definedNamespace(name) !== undefined || (isNamed && cluster.hasPods(name)),
  );
  if (known.length === 0) return;
  const closest = cluster.closest.find(selector, known);
  // Whether other namespaces have such labels: the policy's own may be the only one that is here.
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

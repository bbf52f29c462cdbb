/** A policy that selects no pod. */
import { show } from '../cluster/field.ts';
import type { PolicyRecord } from '../cluster/records.ts';
import { isEmptySelector } from '../cluster/selector.ts';
import { isLike } from './closest-labels.ts';
import type { Mistake } from './finding.ts';
import type { KnownCluster } from './known-cluster.ts';
import { selectorText } from './selector-text.ts';

export function* selectedPodMistakes(cluster: KnownCluster, policy: PolicyRecord): Iterable<Mistake> {
  if (cluster.selectedBy(policy).length > 0) return;
  const { namespace, podSelector } = policy;
  const rule = 'selects-no-pod';
  const path = ['spec', 'podSelector'];
  const [host] = cluster.hostPods(namespace, podSelector);
  if (host !== undefined) {
    const message = `it selects only pods in their node's network (hostNetwork), such as ${host.name}, to which no policy applies`;
    yield { rule, path, message };
    return;
  }
  // A policy for all pods of a namespace may come before them.
  if (isEmptySelector(podSelector)) {
    yield* wrongNamespace(cluster, policy);
    return;
  }
  const message = `no pod of ${namespace} has ${selectorText(podSelector)}: the policy selects nothing`;
  const [elsewhere] = cluster.pods.select(podSelector);
  if (cluster.hasPods(namespace)) {
    const closest = cluster.closest.find(podSelector, cluster.podsOf(namespace).all);
    const there =
      elsewhere && `${elsewhere.namespace}/${elsewhere.name} has, but a policy selects pods of its own namespace.`;
    const hint = there ?? closest?.hint;
    const isCertain =
      there !== undefined ||
      closest?.isSlip ||
      (!cluster.mayHaveMorePods && cluster.lackKnownLabels([namespace], podSelector));
    yield { rule, path, message, ...(hint && { hint }), ...(isCertain ? {} : { severity: 'info' }) };
  } else if (elsewhere !== undefined) {
    const there = elsewhere.namespace;
    const hint = `${there}/${elsewhere.name} has. Did you mean metadata.namespace: ${there}?`;
    yield { rule, path, message, hint };
  } else {
    yield* wrongNamespace(cluster, policy);
  }
}

/** Finds a misspelt namespace: the manifests lack it, but contain one with nearly the same name. */
function* wrongNamespace(cluster: KnownCluster, { namespace }: PolicyRecord): Iterable<Mistake> {
  if (cluster.hasPods(namespace) || cluster.definedNamespace(namespace) !== undefined) return;
  const meant = cluster.namespaces.find(({ name }) => cluster.hasPods(name) && isLike(namespace, name))?.name;
  if (meant === undefined) return;
  yield {
    rule: 'selects-no-pod',
    path: ['metadata', 'namespace'],
    message: `there are no pods in namespace ${show(namespace)}`,
    hint: `Did you mean ${meant}?`,
  };
}

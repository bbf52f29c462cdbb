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
    const message = `it selects only pods in the network of their node (hostNetwork), such as ${host.name}, which no policy reaches`;
    yield { rule, path, message };
    return;
  }
  // A policy for all pods of a namespace waits for them.
  if (isEmptySelector(podSelector)) {
    yield* wrongNamespace(cluster, policy);
    return;
  }
  const message = `no pod of ${namespace} has ${selectorText(podSelector)}: the policy selects nobody`;
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

/** The manifests may not hold the policy's namespace at all; a name that is nearly that of one which they hold is a slip. */
function* wrongNamespace(cluster: KnownCluster, { namespace }: PolicyRecord): Iterable<Mistake> {
  if (cluster.hasPods(namespace) || cluster.definedNamespace(namespace) !== undefined) return;
  const meant = cluster.namespaces.find(({ name }) => cluster.hasPods(name) && isLike(namespace, name))?.name;
  if (meant === undefined) return;
  yield {
    rule: 'selects-no-pod',
    path: ['metadata', 'namespace'],
    message: `there are no pods in a namespace ${show(namespace)}`,
    hint: `Did you mean ${meant}?`,
  };
}

/**
 * The part of a cluster that a flow between two ends depends on, so that explaining it is quick in
 * a cluster of any size.
 */
import { canonicalAddress } from '../cluster/addresses.ts';
import { type PodRecord, recordKey } from '../cluster/records.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { POD, SERVICE } from './ends.ts';
import { isNameServer } from './name-servers.ts';

/**
 * Returns the pods and policies of both ends' namespaces, the name servers, and all namespaces.
 * @param ends as Ends.named reads them
 */
export function vicinityOf({ namespaces, pods, policies }: ClusterSnapshot, ends: readonly string[]): ClusterSnapshot {
  const wanted = new Set(ends.flatMap(namespacesIn));
  const addresses = ends.map((end) => canonicalAddress(end));
  const isNamed = (pod: PodRecord) =>
    ends.includes(pod.name) || ends.includes(recordKey(pod)) || pod.addresses.some((each) => addresses.includes(each));
  const named = pods.filter(isNamed);
  for (const { namespace } of named) wanted.add(namespace);
  // Other pods may have taken over one of these addresses.
  const theirs = new Set(named.flatMap(({ addresses }) => addresses));
  for (const { namespace, addresses } of pods) if (addresses.some((each) => theirs.has(each))) wanted.add(namespace);
  return {
    namespaces,
    pods: pods.filter((pod) => wanted.has(pod.namespace) || isNameServer(pod)),
    policies: policies.filter(({ namespace }) => wanted.has(namespace)),
  };
}

/**
 * Returns namespace a for `service/a/b` and `pod/a/b`; in `service/a` the namespace is `service`.
 */
function namespacesIn(end: string): readonly string[] {
  const [namespace = '', ...rest] = end.split('/');
  if (rest.length === 0) return [];
  return [SERVICE, POD].includes(`${namespace}/`) && rest.length > 1 ? rest.slice(0, 1) : [namespace];
}

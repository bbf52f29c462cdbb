/** The part of a cluster on which a flow between two ends depends, and its explanation: all of it, of a cluster of any size, in little time. */
import { canonicalAddress } from '../cluster/addresses.ts';
import { type PodRecord, recordKey } from '../cluster/records.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { POD, SERVICE } from './ends.ts';
import { isNameServer } from './name-servers.ts';

/**
 * Pods and policies of the namespaces of both ends, and of the name servers; all namespaces.
 * @param ends as Ends.named reads them
 */
export function vicinityOf({ namespaces, pods, policies }: ClusterSnapshot, ends: readonly string[]): ClusterSnapshot {
  const wanted = new Set(ends.flatMap(namespacesIn));
  const addresses = ends.map((end) => canonicalAddress(end));
  const isNamed = (pod: PodRecord) =>
    ends.includes(pod.name) || ends.includes(recordKey(pod)) || pod.addresses.some((each) => addresses.includes(each));
  const named = pods.filter(isNamed);
  for (const { namespace } of named) wanted.add(namespace);
  // And whoever else has an address of theirs, which may not be theirs any more.
  const theirs = new Set(named.flatMap(({ addresses }) => addresses));
  for (const { namespace, addresses } of pods) if (addresses.some((each) => theirs.has(each))) wanted.add(namespace);
  return {
    namespaces,
    pods: pods.filter((pod) => wanted.has(pod.namespace) || isNameServer(pod)),
    policies: policies.filter(({ namespace }) => wanted.has(namespace)),
  };
}

/** Of `service/a/b` and `pod/a/b` namespace a; service is one only in `service/a`. */
function namespacesIn(end: string): readonly string[] {
  const [namespace = '', ...rest] = end.split('/');
  if (rest.length === 0) return [];
  return [SERVICE, POD].includes(`${namespace}/`) && rest.length > 1 ? rest.slice(0, 1) : [namespace];
}

/** What manifests say about a whole cluster, for those who ask about its flows. */
import type { Family } from '../cluster/addresses.ts';
import type { Path } from '../cluster/field.ts';
import { type PodRecord, recordKey } from '../cluster/records.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { rangesFor } from './address-range.ts';
import type { LoadedManifests } from './load.ts';

export interface ManifestCluster {
  readonly snapshot: ClusterSnapshot;
  readonly services: readonly ServiceRecord[];
  /** Addresses that are made up, for the manifests do not tell them, and the ranges that pods are known to have theirs from. */
  readonly assigned: { readonly addresses: ReadonlySet<string>; readonly ranges: readonly string[] };
  /** File and line of a field of a policy (`namespace/name`). */
  readonly locate: (policy: string, field: Path) => { readonly file: string; readonly line: number } | undefined;
}

/** Addresses for nodes that manifests do not tell, as the lab gives them. */
const NODE_RANGES = { IPv4: '172.18.0.0/16', IPv6: 'fd00:172:18::/112' };

/** @param families as `loadManifests` had them */
export function clusterOf(
  { snapshot, services, sources, assignedAddresses, podRanges }: LoadedManifests,
  families: readonly Family[] = ['IPv4'],
): ManifestCluster {
  const locate: ManifestCluster['locate'] = (policy, field) => {
    const object = sources.get(`NetworkPolicy ${policy}`);
    return object === undefined ? undefined : { file: object.file, line: object.locate(field).line };
  };
  const nodes = nodeAddresses(snapshot.pods, families);
  const pods = snapshot.pods.map((pod) => ({ ...pod, addresses: nodes.get(pod) ?? pod.addresses }));
  const addresses = new Set([...assignedAddresses, ...[...nodes.values()].flat()]);
  return { snapshot: { ...snapshot, pods }, services, assigned: { addresses, ranges: podRanges }, locate };
}

/** A pod of the host network has its node's address, and manifests do not say that: one is made up for each node that they name. */
function nodeAddresses(
  pods: readonly PodRecord[],
  families: readonly Family[],
): ReadonlyMap<PodRecord, readonly string[]> {
  const ranges = [...rangesFor(families, [], NODE_RANGES).values()];
  const nodes = new Map<string, readonly string[]>();
  const without = pods.filter(({ hostNetwork, addresses }) => hostNetwork && addresses.length === 0);
  return new Map(
    without.map((pod) => {
      // Without a node each may be on one of its own.
      const node = pod.nodeName ?? recordKey(pod);
      const addresses = nodes.get(node) ?? ranges.flatMap((range) => range.take(node) ?? []);
      nodes.set(node, addresses);
      return [pod, addresses];
    }),
  );
}

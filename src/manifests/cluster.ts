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
  /** File and line of a field of a policy (`namespace/name`). */
  readonly locate: (policy: string, field: Path) => { readonly file: string; readonly line: number } | undefined;
}

/** Addresses for nodes that manifests do not tell, as the lab gives them. */
const NODE_RANGES = { IPv4: '172.18.0.0/16', IPv6: 'fd00:172:18::/112' };

/** @param families as `loadManifests` had them */
export function clusterOf(
  { snapshot, services, sources }: LoadedManifests,
  families: readonly Family[] = ['IPv4'],
): ManifestCluster {
  const locate: ManifestCluster['locate'] = (policy, field) => {
    const object = sources.get(`NetworkPolicy ${policy}`);
    return object === undefined ? undefined : { file: object.file, line: object.locate(field).line };
  };
  return { snapshot: { ...snapshot, pods: withNodeAddresses(snapshot.pods, families) }, services, locate };
}

/** A pod of the host network has its node's address, and manifests do not say that: one is made up for each node that they name. */
function withNodeAddresses(pods: readonly PodRecord[], families: readonly Family[]): readonly PodRecord[] {
  const ranges = [...rangesFor(families, [], NODE_RANGES).values()];
  const nodes = new Map<string, readonly string[]>();
  return pods.map((pod) => {
    if (!pod.hostNetwork || pod.addresses.length > 0) return pod;
    // Without a node each may be on one of its own.
    const node = pod.nodeName ?? recordKey(pod);
    const addresses = nodes.get(node) ?? ranges.flatMap((range) => range.take(node) ?? []);
    nodes.set(node, addresses);
    return { ...pod, addresses };
  });
}

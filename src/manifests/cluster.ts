/** A whole cluster as manifests describe it, for questions about its flows. */
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
  /**
   * Addresses that podfence made up because the manifests lack them, and the ranges from which pods
   * are known to take theirs.
   */
  readonly assigned: { readonly addresses: ReadonlySet<string>; readonly ranges: readonly string[] };
  /** File and line of a field of a policy (`namespace/name`). */
  readonly locate: (policy: string, field: Path) => { readonly file: string; readonly line: number } | undefined;
}

/** Ranges for node addresses, which manifests lack. The lab uses the same. */
const NODE_RANGES = { IPv4: '172.18.0.0/16', IPv6: 'fd00:172:18::/112' };

/** @param families the same as for `loadManifests` */
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

/**
 * Makes up an address for each node. A hostNetwork pod has its node's address, which manifests do
 * not contain.
 */
function nodeAddresses(
  pods: readonly PodRecord[],
  families: readonly Family[],
): ReadonlyMap<PodRecord, readonly string[]> {
  const ranges = [...rangesFor(families, [], NODE_RANGES).values()];
  const nodes = new Map<string, readonly string[]>();
  const without = pods.filter(({ hostNetwork, addresses }) => hostNetwork && addresses.length === 0);
  return new Map(
    without.map((pod) => {
      // A pod that names no node gets a node of its own.
      const node = pod.nodeName ?? recordKey(pod);
      const addresses = nodes.get(node) ?? ranges.flatMap((range) => range.take(node) ?? []);
      nodes.set(node, addresses);
      return [pod, addresses];
    }),
  );
}

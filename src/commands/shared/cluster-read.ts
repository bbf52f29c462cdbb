/** A cluster, as read from manifests or from the API server. */
import type { ServiceRecord } from '../../cluster/services.ts';
import type { ClusterSnapshot } from '../../cluster/store.ts';
import type { AssignedAddresses } from '../../explain/assigned-addresses.ts';
import type { Locate } from '../../explain/policy-places.ts';
import type { ManifestProblem } from '../../manifests/problems.ts';

export interface ClusterRead {
  readonly snapshot: ClusterSnapshot;
  readonly services: readonly ServiceRecord[];
  /** Made-up addresses, for pods whose manifests have none. */
  readonly assigned: AssignedAddresses;
  /** Finds where a policy is written; undefined for policies of a live cluster. */
  readonly locate: Locate;
  /** Where the cluster was read from, for users: the paths, or the address of the API server. */
  readonly title: string;
  /** Not reported yet. */
  readonly problems: readonly ManifestProblem[];
}

/** What each source of a cluster gives. */
import type { ServiceRecord } from '../../cluster/services.ts';
import type { ClusterSnapshot } from '../../cluster/store.ts';
import type { AssignedAddresses } from '../../explain/assigned-addresses.ts';
import type { Locate } from '../../explain/policy-places.ts';
import type { ManifestProblem } from '../../manifests/problems.ts';

export interface ClusterRead {
  readonly snapshot: ClusterSnapshot;
  readonly services: readonly ServiceRecord[];
  /** Of pods of manifests that tell none. */
  readonly assigned: AssignedAddresses;
  /** Where policies stand; nowhere for those of a cluster. */
  readonly locate: Locate;
  /** Where it came from, for people: the paths, or the address of the API server. */
  readonly title: string;
  /** Not told to anybody yet. */
  readonly problems: readonly ManifestProblem[];
}

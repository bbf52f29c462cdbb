/** What lint is given. The loaded manifests are such an input as they are. */
import type { Path } from '../cluster/field.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import type { Finding } from './finding.ts';

/** What was wrong where the manifests were read. */
export interface ReadingProblem extends Omit<Finding, 'code' | 'rule' | 'severity'> {
  readonly isNoObject?: true;
  readonly unknownField?: string;
  /** The object replaces that of another folder, as in an overlay of kustomize. */
  readonly isOverlay?: true;
  readonly severity: 'error' | 'warning';
}

/** An object as it is written. */
export interface SourceObject {
  readonly file: string;
  /** The API object; its annotations are read. */
  readonly value: unknown;
  locate(path: Path): { readonly line: number; readonly column: number };
}

/** A Service, as far as it explains a wrong port. */
export type KnownService = Pick<ServiceRecord, 'namespace' | 'name' | 'ports' | 'selector'>;

export interface LintInput {
  readonly snapshot: ClusterSnapshot;
  readonly services?: readonly KnownService[];
  readonly problems?: readonly ReadingProblem[];
  /**
   * Where NetworkPolicies and Namespaces are written: by kind and key, `NetworkPolicy shop/web`, `Namespace shop`. A namespace that is not among
   * them is known by its name only. Undefined: everything is known, as from an API server, and findings have no place.
   */
  readonly sources?: ReadonlyMap<string, SourceObject>;
  /** Objects of kinds that were not read: how many of each kind. */
  readonly skipped?: ReadonlyMap<string, number>;
  /** CIDR blocks that pods have their addresses from. @default what most clusters have: 10.244.0.0/16, fd00:10:244::/64 */
  readonly podRanges?: readonly string[];
}

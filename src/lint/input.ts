/** The input of lint. Loaded manifests have this shape. */
import type { Path } from '../cluster/field.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import type { Finding } from './finding.ts';

/** A problem from reading manifests. */
export interface ReadingProblem extends Omit<Finding, 'code' | 'rule' | 'severity'> {
  readonly isNoObject?: true;
  readonly unknownField?: string;
  /** The object replaces one of another folder, as in a kustomize overlay. */
  readonly isOverlay?: true;
  readonly severity: 'error' | 'warning';
}

/** An object as written. */
export interface SourceObject {
  readonly file: string;
  /** The API object; its annotations are read. */
  readonly value: unknown;
  locate(path: Path): { readonly line: number; readonly column: number };
}

/** The part of a Service that can explain a wrong port. */
export type KnownService = Pick<ServiceRecord, 'namespace' | 'name' | 'ports' | 'selector'>;

export interface LintInput {
  readonly snapshot: ClusterSnapshot;
  readonly services?: readonly KnownService[];
  readonly problems?: readonly ReadingProblem[];
  /**
   * NetworkPolicies and Namespaces as written, by kind and key: `NetworkPolicy shop/web`,
   * `Namespace shop`. Only the name is known of a namespace that is not among them. Undefined:
   * everything is known, as from an API server, and findings have no place.
   */
  readonly sources?: ReadonlyMap<string, SourceObject>;
  /** Number of objects of each kind that was not read. */
  readonly skipped?: ReadonlyMap<string, number>;
  /**
   * CIDR blocks of pod addresses.
   * @default 10.244.0.0/16 and fd00:10:244::/64, as in most clusters
   */
  readonly podRanges?: readonly string[];
}

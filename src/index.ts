/**
 * podfence as a library: what NetworkPolicies mean, for tests and tools of your own. The verdicts
 * come from the compiled table and the filter that judge packets on a node. Nothing happens at
 * import, nothing native is loaded, and it runs wherever Node does.
 *
 *     import { compile, judge, loadManifests } from 'podfence';
 *
 *     const cluster = compile(await loadManifests('k8s/'));
 *     const question = { from: 'shop/frontend-1', to: 'shop/database-0', port: 5432 };
 *     judge(cluster, question).verdict; // 'deny'
 */
import './node-required.ts';
import { Batch, type BatchAnswer, type FlowQuestion, portQuery } from './explain/batch.ts';
import { Explainer } from './explain/explain.ts';
import type { Answer } from './explain/explanation.ts';
import { ManifestOptionError } from './manifests/address-range.ts';
import { clusterOf, type ManifestCluster } from './manifests/cluster.ts';
import { type LoadedManifests, type LoadOptions, loadManifests as load } from './manifests/load.ts';
import { type MatrixOptions, Reachability } from './matrix/reachability.ts';

export type { NamespaceRecord, PodRecord, PolicyRecord } from './cluster/records.ts';
export type { ServiceRecord } from './cluster/services.ts';
export type { ClusterSnapshot } from './cluster/store.ts';
export type { BatchAnswer, FlowQuestion } from './explain/batch.ts';
export type { Answer, Explanation, NearMiss, Side, Suggestion, Way } from './explain/explanation.ts';
export { FlowError } from './explain/flow-error.ts';
export type { Judgement, Verdict } from './explain/judgement.ts';
export type { Finding } from './lint/finding.ts';
export type { LintInput } from './lint/input.ts';
export { type LintResult, lint } from './lint/lint.ts';
export type { LoadedManifests, LoadOptions } from './manifests/load.ts';
export type { ManifestProblem } from './manifests/problems.ts';
export type { Cell, MatrixOptions, PlacedCell, Reachability } from './matrix/reachability.ts';

/** The judges of one cluster, each created by the first question that needs it. */
class Judges {
  readonly cluster: ManifestCluster;
  #batch: Batch | undefined;
  #explainer: Explainer | undefined;

  constructor(cluster: ManifestCluster) {
    this.cluster = cluster;
  }

  get batch(): Batch {
    this.#batch ??= new Batch(this.cluster.snapshot, this.cluster.services);
    return this.#batch;
  }

  get explainer(): Explainer {
    this.#explainer ??= new Explainer(this.cluster);
    return this.#explainer;
  }
}

let compiled: (judges: Judges) => CompiledCluster;
let judgesOf: (cluster: CompiledCluster) => Judges;

/** A compiled cluster: `compile` returns it; `judge`, `explain` and `matrix` take it. */
export class CompiledCluster {
  readonly #judges: Judges;

  private constructor(judges: Judges) {
    this.#judges = judges;
  }

  static {
    compiled = (judges) => new CompiledCluster(judges);
    judgesOf = (cluster) => cluster.#judges;
  }
}

/**
 * Reads manifests from a file, a folder (recursively) or standard input (`-`), or from several of
 * these. Errors in them are listed in `problems`; the rest still loads.
 * @throws ManifestOptionError for a value that is not a path, an empty list of paths, and an
 * invalid address range
 */
export async function loadManifests(
  paths: string | readonly string[],
  options: LoadOptions = {},
): Promise<LoadedManifests> {
  const list: readonly unknown[] = Array.isArray(paths) ? paths : [paths];
  // An empty cluster allows everything: a test that asks it would pass for no reason.
  if (list.length === 0) throw new ManifestOptionError('loadManifests: no path is given');
  for (const path of list) {
    if (typeof path === 'string' && path !== '') continue;
    const given = path === '' ? 'empty' : path === null ? 'null' : `of type ${typeof path}`;
    throw new ManifestOptionError(
      `loadManifests: a path must be a string that names a file or a folder; this one is ${given}`,
    );
  }
  return await load(list as readonly string[], options);
}

/**
 * Compiles the policies of loaded manifests for every pod in them. A policy with errors isolates
 * its pods and allows nothing; `loaded.problems` lists the errors.
 */
export function compile(loaded: LoadedManifests): CompiledCluster {
  const isIpv6 = (address: string) => address.includes(':');
  const addresses = loaded.snapshot.pods.flatMap((pod) => pod.addresses);
  const families = [
    ...(addresses.every(isIpv6) && addresses.length > 0 ? [] : (['IPv4'] as const)),
    ...(addresses.some(isIpv6) ? (['IPv6'] as const) : []),
  ];
  return compiled(new Judges(clusterOf(loaded, families)));
}

/**
 * Returns the verdict on a new flow: for egress, for ingress, and for both together. Replies need
 * no rule, so there is no question about them.
 * @throws FlowError for names and ports that do not exist
 */
export function judge(cluster: CompiledCluster, question: FlowQuestion): BatchAnswer {
  return judgesOf(cluster).batch.judge(question);
}

/**
 * Returns the verdict with its reasons: the policies that isolate and the rules that allow. A
 * denied flow also gets its near misses and the policies that would allow it.
 * @throws FlowError for names and ports that do not exist
 */
export function explain(cluster: CompiledCluster, { from, to, port, protocol }: FlowQuestion): Answer {
  return judgesOf(cluster).explainer.answer(from, to, portQuery(port, protocol));
}

/** Returns who can reach whom. Its `cells()` lists each pair with each port. */
export function matrix(cluster: CompiledCluster, options: Omit<MatrixOptions, 'services'> = {}): Reachability {
  const { snapshot, services } = judgesOf(cluster).cluster;
  return new Reachability(snapshot, { services, ...options });
}

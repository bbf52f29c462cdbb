/**
 * The cluster around the two pods. One policy lets the client talk to the server. With more
 * policies, a hundredth of them select the server too, for peers that do not exist, and the others
 * select other pods, some of them on the same node.
 */
import { projectNamespace, projectPod, projectPolicy } from '../../src/cluster/projection.ts';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import type { ApiObject } from '../../test/kube/object-history.ts';
import { namespace, pod, policy } from '../../test/kube/objects.ts';
import { type PopulationShape, population } from '../../test/kube/population.ts';
import { CLIENT_ADDRESS, PAIR_NODE, SERVER_ADDRESS } from './pod-pair.ts';

const POLICIES_OF_NAMESPACE = 10;
const PODS_OF_NAMESPACE = 10;

/**
 * Returns a population with `policies` policies and as many pods, in as many namespaces as needed.
 * `policies` is a multiple of ten.
 */
export function populationOf(policies: number): PopulationShape {
  const namespaces = policies / POLICIES_OF_NAMESPACE;
  return { pods: namespaces * PODS_OF_NAMESPACE, namespaces, policies: POLICIES_OF_NAMESPACE, podBytes: 0 };
}

/** @param policies 1, or a multiple of 1000 */
export function clusterOf(policies: number): ClusterSnapshot {
  const others = policies < 1000 ? 0 : policies / 100;
  const elsewhere = policies < 1000 ? [] : population(populationOf(policies - others));
  return snapshotOf([
    namespace('shop'),
    pod('shop', 'client', { ip: CLIENT_ADDRESS, node: PAIR_NODE.name }),
    pod('shop', 'server', { ip: SERVER_ADDRESS, node: PAIR_NODE.name }),
    onServer('client', 'client'),
    ...Array.from({ length: others - 1 }, (_, i) => onServer(`other-${i}`, `other-${i}`)),
    ...elsewhere,
  ]);
}

function onServer(name: string, peer: string): ApiObject {
  const from = [{ podSelector: { matchLabels: { app: peer } } }];
  return policy('shop', name, { podSelector: { matchLabels: { app: 'server' } }, ingress: [{ from }] });
}

function snapshotOf(objects: readonly ApiObject[]): ClusterSnapshot {
  const of = <T>(kind: string, project: (object: ApiObject) => { readonly record: T | undefined }): T[] =>
    objects.filter((object) => object.kind === kind).flatMap((object) => project(object).record ?? []);
  return {
    namespaces: of('Namespace', projectNamespace),
    pods: of('Pod', projectPod),
    policies: of('NetworkPolicy', projectPolicy),
  };
}

/** The collections that podfence watches, and the projections of their objects. */
import type { Projection } from '../cluster/projection.ts';
import { projectNamespace, projectPod, projectPolicy } from '../cluster/projection.ts';
import { projectNode } from '../cluster/projection-node.ts';
import type { NamespaceRecord, NodeRecord, PodRecord, PolicyRecord, WatchedRecord } from '../cluster/records.ts';
import { SharedValues } from './shared-values.ts';

export interface Resource<R extends WatchedRecord = WatchedRecord> {
  readonly kind: R['kind'];
  /** Path of the collection in all namespaces. */
  readonly path: string;
  readonly project: (object: unknown) => Projection<R>;
}

export const NAMESPACES: Resource<NamespaceRecord> = {
  kind: 'Namespace',
  path: '/api/v1/namespaces',
  project: projectNamespace,
};

const podParts = new SharedValues();

export const PODS: Resource<PodRecord> = {
  kind: 'Pod',
  path: '/api/v1/pods',
  project: (object) => {
    const { record, problems } = projectPod(object);
    if (record === undefined) return { record, problems };
    const labels = podParts.share(record.labels);
    const ports = podParts.share(record.ports);
    const { controller } = record;
    const shared = { labels, ports, ...(controller !== undefined && { controller: podParts.share(controller) }) };
    return { record: { ...record, ...shared }, problems };
  },
};

export const POLICIES: Resource<PolicyRecord> = {
  kind: 'NetworkPolicy',
  path: '/apis/networking.k8s.io/v1/networkpolicies',
  project: (object) => projectPolicy(object),
};

export const NODES: Resource<NodeRecord> = {
  kind: 'Node',
  path: '/api/v1/nodes',
  project: projectNode,
};

/** Services are listed once and never watched: no verdict depends on them. */
export const SERVICES_PATH = '/api/v1/services';

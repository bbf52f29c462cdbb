/** Kubernetes objects for tests, as an API server returns them. */
import type { ApiObject } from './object-history.ts';

export function namespace(name: string, labels: Record<string, string> = {}): ApiObject {
  return {
    kind: 'Namespace',
    apiVersion: 'v1',
    metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels } },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  };
}

export interface PodShape {
  readonly ip?: string;
  /** When its node accepted it, ISO 8601. */
  readonly started?: string;
  readonly node?: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly ports?: readonly { name?: string; containerPort: number; protocol?: string }[];
}

export function pod(namespace: string, name: string, shape: PodShape = {}): ApiObject {
  const { ip, started, node = 'node-1', labels = { app: name }, annotations, ports = [] } = shape;
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: { namespace, name, labels, ...(annotations === undefined ? {} : { annotations }) },
    spec: { nodeName: node, containers: [{ name: 'main', image: 'registry.example/main:1', ports }] },
    status: {
      phase: 'Running',
      ...(started === undefined ? {} : { startTime: started }),
      ...(ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }] }),
    },
  };
}

export function node(name: string, podCIDRs: readonly string[] = [], addresses: readonly object[] = []): ApiObject {
  return {
    kind: 'Node',
    apiVersion: 'v1',
    metadata: { name, labels: { 'kubernetes.io/hostname': name } },
    spec: { podCIDR: podCIDRs[0], podCIDRs },
    status: { addresses: [{ type: 'Hostname', address: name }, ...addresses], conditions: [] },
  };
}

export function policy(namespace: string, name: string, spec: object = { podSelector: {} }): ApiObject {
  return { kind: 'NetworkPolicy', apiVersion: 'networking.k8s.io/v1', metadata: { namespace, name }, spec };
}

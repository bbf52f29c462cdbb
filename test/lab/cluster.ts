/** Small clusters written in one line per object. */
import type { ContainerPort, Labels, PodRecord, PolicyRecord } from '../../src/cluster/records.ts';
import type { LabInput } from '../../src/lab/plan.ts';
import type { ServiceRecord } from '../../src/manifests/services.ts';

/** `pod('shop/web', ['10.0.0.1'], 'TCP 80 http', 'UDP 53')`; its label `app` is its name. */
export function pod(key: string, addresses: readonly string[], ...ports: readonly string[]): PodRecord {
  const [namespace = '', name = ''] = key.split('/');
  return {
    kind: 'Pod',
    namespace,
    name,
    labels: { app: name },
    addresses,
    hostNetwork: false,
    ports: ports.map(containerPort),
  };
}

/** `TCP 80` or `TCP 80 http`. */
function containerPort(text: string): ContainerPort {
  const [protocol, port, name] = text.split(' ');
  return { protocol: protocol as ContainerPort['protocol'], port: Number(port), ...(name ? { name } : {}) };
}

/**
 * `service('shop/web', ['10.96.0.1'], {app: 'web'}, 'TCP 80 http 30080')`: protocol, port, target
 * port, node port.
 */
export function service(
  key: string,
  clusterIPs: readonly string[],
  selector: Labels,
  ...ports: readonly string[]
): ServiceRecord {
  const [namespace = '', name = ''] = key.split('/');
  return {
    namespace,
    name,
    type: 'ClusterIP',
    clusterIPs,
    selector,
    headless: clusterIPs.length === 0,
    ports: ports.map((text) => {
      const [protocol, port, target = port, nodePort] = text.split(' ');
      return {
        protocol: protocol as ContainerPort['protocol'],
        port: Number(port),
        targetPort: /^\d+$/.test(target ?? '') ? Number(target) : (target ?? ''),
        ...(nodePort ? { nodePort: Number(nodePort) } : {}),
      };
    }),
  };
}

/** A policy that isolates the pods with these labels for ingress and allows nothing. */
export function denyIngress(key: string, matchLabels: Labels): PolicyRecord {
  const [namespace = '', name = ''] = key.split('/');
  return {
    kind: 'NetworkPolicy',
    namespace,
    name,
    podSelector: { matchLabels, matchExpressions: [] },
    isolates: ['ingress'],
    ingress: [],
    egress: [],
  };
}

export function cluster(
  pods: readonly PodRecord[],
  services: readonly ServiceRecord[] = [],
  policies: readonly PolicyRecord[] = [],
): LabInput {
  const names = new Set(pods.map(({ namespace }) => namespace));
  const namespaces = [...names].map((name) => ({
    kind: 'Namespace' as const,
    name,
    labels: { 'kubernetes.io/metadata.name': name },
  }));
  return { snapshot: { namespaces, pods, policies }, services };
}

/** A small cluster for matrices, and tiny constructors for tests that need others. */
import type { ContainerPort, Labels, PodRecord, PolicyRecord, Protocol } from '../../src/cluster/records.ts';
import type { ServicePort, ServiceRecord } from '../../src/cluster/services.ts';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import { allow, ingressPolicy, matching, namespace, pod, tcp } from '../policy/records.ts';

export function port(number: number, name?: string, protocol: Protocol = 'TCP'): ContainerPort {
  return { port: number, protocol, ...(name === undefined ? {} : { name }) };
}

export function service(name: string, selector: Labels, ...ports: readonly ServicePort[]): ServiceRecord {
  const [namespace = '', own = ''] = name.split('/');
  return { namespace, name: own, type: 'ClusterIP', clusterIPs: ['10.96.0.1'], ports, selector, headless: false };
}

/** Returns the pods of a workload: `shop/web` with 2 has shop/web-1 and shop/web-2. */
export function replicas(name: string, network: string, count: number, more: Partial<PodRecord> = {}): PodRecord[] {
  const app = name.slice(name.indexOf('/') + 1);
  return Array.from({ length: count }, (_, i) => pod(`${name}-${i + 1}`, `${network}.${i + 1}`, { app }, more));
}

const WEB = replicas('shop/web', '10.0.1', 3, { ports: [port(8080, 'http')] });
const DATABASE = replicas('shop/db', '10.0.2', 1, { ports: [port(5432, 'sql')] });
const STRANGER = replicas('else/stranger', '10.0.3', 2);

/** Returns a policy that isolates the pods of `app`; each rule lists peers and ports. */
export function ingressOf(app: string, ...rules: Parameters<typeof allow>[]): PolicyRecord {
  const more = { namespace: 'shop', podSelector: matching({ app }) };
  return ingressPolicy(
    app,
    rules.map((rule) => allow(...rule)),
    more,
  );
}

/**
 * shop/web reaches shop/db on 5432, and 10.9.0.0/16 reaches shop/web on its http. Nothing else
 * reaches them.
 */
export const SHOP: ClusterSnapshot = {
  namespaces: [namespace('shop'), namespace('else')],
  pods: [...WEB, ...DATABASE, ...STRANGER],
  policies: [
    ingressOf('db', [[{ podSelector: matching({ app: 'web' }) }], [tcp(5432)]]),
    ingressOf('web', [[{ ipBlock: { cidr: '10.9.0.0/16', except: [] } }], [tcp('http')]]),
  ],
};

export const SERVICES: readonly ServiceRecord[] = [
  service('shop/front', { app: 'web' }, { protocol: 'TCP', port: 80, targetPort: 'http' }),
];

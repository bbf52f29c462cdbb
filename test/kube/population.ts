/** A cluster of any size, with pods as large as real ones. */
import type { ApiObject } from './object-history.ts';
import { namespace, pod, policy } from './objects.ts';

export interface PopulationShape {
  readonly pods: number;
  /** @default a hundredth of the pods, at least 1 */
  readonly namespaces?: number;
  /** Policies in each namespace. @default 2 */
  readonly policies?: number;
  /** Pods on each node. @default 50 */
  readonly podsOfNode?: number;
  /** Approximate size of a pod's JSON in bytes. @default 9000 */
  readonly podBytes?: number;
}

/**
 * Yields the cluster's objects. Addresses are 10.0.0.1 and so on in the order of the pods; node
 * `node-0` has the first pods.
 */
export function* population(shape: PopulationShape): Generator<ApiObject> {
  const {
    pods,
    namespaces = Math.max(1, Math.round(pods / 100)),
    policies = 2,
    podsOfNode = 50,
    podBytes = 9000,
  } = shape;
  // What makes real pods large is useless to podfence: managed fields, environments, conditions.
  // All pods share one text in its place.
  const filler = { 'example.com/rest': 'x"{[\\é'.repeat(Math.max(0, Math.round((podBytes - 600) / 9))) };
  for (let index = 0; index < namespaces; index++) {
    const name = `team-${index}`;
    yield namespace(name, { team: name });
    for (let number = 0; number < policies; number++) {
      const port = { protocol: 'TCP', port: 8080 + number };
      const from = [{ podSelector: { matchLabels: { tier: `tier-${number}` } } }];
      const podSelector = { matchLabels: { tier: `tier-${number + 1}` } };
      yield policy(name, `allow-${number}`, { podSelector, ingress: [{ from, ports: [port] }] });
    }
  }
  for (let index = 0; index < pods; index++) {
    const number = index + 1;
    yield pod(`team-${index % namespaces}`, `app-${index % 10}-6d4cf56db6-${index.toString(36).padStart(5, '0')}`, {
      ip: `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`,
      node: `node-${Math.floor(index / podsOfNode)}`,
      labels: { app: `app-${index % 10}`, tier: `tier-${index % 5}`, 'pod-template-hash': '6d4cf56db6' },
      annotations: filler,
      ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
    });
  }
}

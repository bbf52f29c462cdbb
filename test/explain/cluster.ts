/**
 * A small cluster to explain: a frontend, a backend and a stranger in another namespace, with the
 * policies of a test.
 */
import type { Direction, PolicyRecord, PolicyRule } from '../../src/cluster/records.ts';
import type { ServiceRecord } from '../../src/cluster/services.ts';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import { Explainer, type ExplainerOptions } from '../../src/explain/explain.ts';
import type { Answer, Explanation, Side } from '../../src/explain/explanation.ts';
import { matching, namespace, pod } from '../policy/records.ts';

const FRONTEND = pod('app1/frontend-1', '10.0.0.1', { role: 'frontend' }, { nodeName: 'node-1' });
const BACKEND = pod(
  'app1/backend-1',
  '10.0.0.2',
  { role: 'backend' },
  {
    nodeName: 'node-2',
    ports: [
      { name: 'api', port: 5678, protocol: 'TCP' },
      { name: 'metrics', port: 9090, protocol: 'TCP' },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  },
);
const STRANGER = pod('app2/stranger', '10.0.0.3', { role: 'frontend' }, { nodeName: 'node-1' });
const HOST = pod('app1/host', '10.9.0.3', { role: 'frontend' }, { nodeName: 'node-3', hostNetwork: true });

export function snapshotWith(
  policies: readonly PolicyRecord[],
  more: readonly ReturnType<typeof pod>[] = [],
): ClusterSnapshot {
  return {
    namespaces: [namespace('app1'), namespace('app2', { team: 'b' })],
    pods: [FRONTEND, BACKEND, STRANGER, HOST, ...more],
    policies,
  };
}

/** Returns a policy of app1 for the pods with a role. */
export function policyFor(
  role: string,
  name: string,
  rules: Partial<Record<Direction, readonly PolicyRule[]>>,
  more: Partial<PolicyRecord> = {},
): PolicyRecord {
  return {
    kind: 'NetworkPolicy',
    namespace: 'app1',
    name,
    podSelector: matching({ role }),
    isolates: (['ingress', 'egress'] as const).filter((direction) => rules[direction] !== undefined),
    ingress: rules.ingress ?? [],
    egress: rules.egress ?? [],
    ...more,
  };
}

export function ask(
  policies: readonly PolicyRecord[],
  [from, to, port]: readonly [string, string, string],
  more: Partial<ExplainerOptions> & { readonly services?: readonly ServiceRecord[] } = {},
): Answer {
  return new Explainer({ snapshot: snapshotWith(policies), ...more }).answer(from, to, port);
}

/** Returns the explanation of a question with a single way. */
export function explained(...question: Parameters<typeof ask>): Explanation {
  const [way, ...others] = ask(...question).ways;
  if (way === undefined || others.length > 0) throw new Error('not one way');
  return way;
}

/** Returns the sentences of a side's near misses. */
export function sentences({ nearMisses }: Side): readonly string[] {
  return nearMisses.map(({ sentence }) => sentence);
}

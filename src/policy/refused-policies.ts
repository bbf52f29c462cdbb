/** A snapshot with the policies as they are compiled, for whoever goes by records beside the table: what is refused says so, and has no rules. */
import { recordKey } from '../cluster/records.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { PolicyCompiler } from './compiler.ts';
import { BUDGET, mostWordsOf, type RefusedPolicy, refusedRecord } from './policy-budget.ts';

const known = new WeakMap<ClusterSnapshot, ClusterSnapshot>();

/** The snapshot itself where nothing is refused. Found once for each. */
export function asCompiled(snapshot: ClusterSnapshot): ClusterSnapshot {
  let compiled = known.get(snapshot);
  if (compiled === undefined) {
    compiled = withRefused(snapshot, refusedIn(snapshot));
    known.set(snapshot, compiled);
    known.set(compiled, compiled);
  }
  return compiled;
}

/** @param refused some of its policies, by a larger snapshot perhaps */
export function withRefused(snapshot: ClusterSnapshot, refused: readonly RefusedPolicy[]): ClusterSnapshot {
  if (refused.length === 0) return snapshot;
  const reasons = new Map(refused.map(({ policy, reason }) => [policy, reason]));
  const policies = snapshot.policies.map((policy) => {
    const reason = reasons.get(recordKey(policy));
    return reason === undefined ? policy : refusedRecord(policy, reason);
  });
  return { ...snapshot, policies };
}

function refusedIn({ namespaces, pods, policies }: ClusterSnapshot): readonly RefusedPolicy[] {
  // Most clusters are small enough for that to be seen at a glance.
  const most = new Map<string, number>();
  for (const policy of policies)
    most.set(policy.namespace, (most.get(policy.namespace) ?? 0) + mostWordsOf(policy, pods.length));
  if (![...most.values()].some((words) => words > BUDGET.policy)) return [];
  const compiler = new PolicyCompiler(NOWHERE);
  compiler.apply([...namespaces, ...pods, ...policies].map((record) => ({ type: 'set', record })));
  compiler.compile();
  return compiler.refusedPolicies();
}

/** A node without pods: policies that select nobody are counted, not compiled. */
const NOWHERE = '';

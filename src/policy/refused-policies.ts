/**
 * A snapshot with the policies as they are compiled, for code that works on records instead of the
 * table: a refused policy has an error and no rules.
 */
import { type PolicyRecord, recordKey } from '../cluster/records.ts';
import type { ClusterChange, ClusterSnapshot } from '../cluster/store.ts';
import { PolicyCompiler } from './compiler.ts';
import { canBeRefused, type RefusedPolicy, refusedRecord } from './policy-budget.ts';

const known = new WeakMap<ClusterSnapshot, ClusterSnapshot>();

/** Returns the snapshot itself if no policy is refused. Computed once for each snapshot. */
export function asCompiled(snapshot: ClusterSnapshot): ClusterSnapshot {
  let compiled = known.get(snapshot);
  if (compiled === undefined) {
    compiled = withRefused(snapshot, refusedIn(snapshot));
    known.set(snapshot, compiled);
    known.set(compiled, compiled);
  }
  return compiled;
}

/** Returns the policies that ask for more of the table than one may, each with the reason. */
export function refusedOf(snapshot: ClusterSnapshot): ReadonlyMap<PolicyRecord, string> {
  const { policies } = asCompiled(snapshot);
  return new Map(
    snapshot.policies.flatMap((policy, index) => {
      const { error } = policies[index] as PolicyRecord;
      return error === undefined || error === policy.error ? [] : [[policy, error]];
    }),
  );
}

/** @param refused some of its policies; a larger snapshot may have decided this */
export function withRefused(snapshot: ClusterSnapshot, refused: readonly RefusedPolicy[]): ClusterSnapshot {
  if (refused.length === 0) return snapshot;
  const reasons = new Map(
    refused.filter(({ refuses }) => refuses === 'all').map(({ policy, reason }) => [policy, reason]),
  );
  const policies = snapshot.policies.map((policy) => {
    const reason = reasons.get(recordKey(policy));
    return reason === undefined ? policy : refusedRecord(policy, reason);
  });
  return { ...snapshot, policies };
}

/**
 * Returns the compiled records of policies that became refused, or are refused no longer, as
 * changes. Apply them after the changes that were compiled.
 */
export function turnedPolicies(compiler: PolicyCompiler): readonly ClusterChange[] {
  return compiler.takeTurned().map((record) => ({ type: 'set', record }));
}

function refusedIn({ namespaces, pods, policies }: ClusterSnapshot): readonly RefusedPolicy[] {
  // Most clusters are so small that this can be seen at a glance.
  if (!policies.some((policy) => canBeRefused(policy, pods.length, namespaces.length))) return [];
  const compiler = new PolicyCompiler(NOWHERE);
  compiler.apply([...namespaces, ...pods, ...policies].map((record) => ({ type: 'set', record })));
  compiler.compile();
  return compiler.refusedPolicies();
}

/** A node without pods: its compiler counts the policies but compiles none. */
const NOWHERE = '';

/**
 * A snapshot with the policies as they are compiled, for code that works on records instead of the
 * table: a refused policy has an error and no rules.
 */
import { type PolicyRecord, recordKey } from '../cluster/records.ts';
import type { ClusterChange, ClusterSnapshot } from '../cluster/store.ts';
import { PolicyCompiler } from './compiler.ts';
import { canBeRefused, canBeTooManyTogether, type RefusedPolicy, refusedRecord } from './policy-budget.ts';

interface Compiled {
  readonly snapshot: ClusterSnapshot;
  readonly refused: readonly RefusedPolicy[];
}

const known = new WeakMap<ClusterSnapshot, Compiled>();

/** Returns the snapshot itself if no policy is refused. Computed once for each snapshot. */
export function asCompiled(snapshot: ClusterSnapshot): ClusterSnapshot {
  return compiled(snapshot).snapshot;
}

/**
 * Returns the policies that ask for more of the table than one may, or than those of the same pods
 * may together.
 */
export function refusedOf(snapshot: ClusterSnapshot): ReadonlyMap<PolicyRecord, RefusedPolicy> {
  const refusals = new Map(compiled(snapshot).refused.map((each) => [each.policy, each]));
  return new Map(
    snapshot.policies.flatMap((policy) => {
      const refusal = refusals.get(recordKey(policy));
      return refusal === undefined ? [] : [[policy, refusal]];
    }),
  );
}

function compiled(snapshot: ClusterSnapshot): Compiled {
  let found = known.get(snapshot);
  if (found === undefined) {
    const refused = refusedIn(snapshot);
    found = { snapshot: withRefused(snapshot, refused), refused };
    known.set(snapshot, found);
    known.set(found.snapshot, found);
  }
  return found;
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
  const together = canBeTooManyTogether(policies);
  if (!together && !policies.some((policy) => canBeRefused(policy, pods.length, namespaces.length))) return [];
  // The compiler finds out only for endpoints which policies select the same pods.
  const compiler = new PolicyCompiler(together ? undefined : NOWHERE);
  compiler.apply([...namespaces, ...pods, ...policies].map((record) => ({ type: 'set', record })));
  compiler.compile();
  return compiler.refusedPolicies();
}

/** A node without pods: its compiler counts the policies but compiles none. */
const NOWHERE = '';

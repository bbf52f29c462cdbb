/**
 * Which policies are enforced. An audited policy is judged and reported, but neither isolates nor
 * allows anything: what it denies passes. So a policy can be tried on real traffic before it bites.
 * The annotation stands on a NetworkPolicy, or on a Namespace for all of its policies:
 *
 *     metadata.annotations: { podfence.io/mode: audit }
 */
import type { Field } from './field.ts';
import { describe, show } from './field.ts';
import { didYouMean } from './nearest.ts';
import type { NamespaceRecord, PolicyMode, PolicyRecord } from './records.ts';

export const MODE_ANNOTATION = 'podfence.io/mode';
const MODES: readonly PolicyMode[] = ['enforce', 'audit'];

/** Returns the policy's own mode, else that of its namespace, else `enforce`. */
export function modeOf(
  policy: Pick<PolicyRecord, 'mode'>,
  namespace: { readonly mode?: NamespaceRecord['mode'] | undefined } | undefined,
): PolicyMode {
  return policy.mode ?? namespace?.mode ?? 'enforce';
}

/**
 * Returns, of the policies that select a pod for a direction, those that decide: the enforced ones
 * or, if there are none, the audited ones. Beside enforced policies, an audited one could only
 * allow what they do not.
 */
export function deciding<P>(selecting: readonly P[], mode: (policy: P) => PolicyMode): readonly P[] {
  const enforced = selecting.filter((policy) => mode(policy) === 'enforce');
  return enforced.length > 0 ? enforced : selecting;
}

/**
 * Reads the mode from an object's `metadata`. A value that is not a mode is a problem and counts as
 * `enforce`.
 */
export function readMode(metadata: Field): { readonly mode?: PolicyMode } {
  const field = metadata.child('annotations').child(MODE_ANNOTATION);
  if (field.isAbsent) return {};
  const mode = MODES.find((known) => known === field.value);
  if (mode !== undefined) return { mode };
  const { value } = field;
  field.problem(
    `${typeof value === 'string' ? show(value) : describe(value)} is not a mode; modes are audit and enforce, and any other value counts as enforce`,
    typeof value === 'string' ? didYouMean(value.trim().toLowerCase(), MODES) : undefined,
    { isWarning: true },
  );
  return { mode: 'enforce' };
}

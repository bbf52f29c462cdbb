/**
 * Which policies are enforced. One that is audited is judged and told of, and neither isolates nor allows anything: what it denies passes. So a policy is tried on
 * real traffic before it bites.
 *
 *     metadata.annotations: { podfence.io/mode: audit }        on a NetworkPolicy, or on a Namespace for all of its policies
 */
import type { Field } from './field.ts';
import { describe, show } from './field.ts';
import { didYouMean } from './nearest.ts';
import type { NamespaceRecord, PolicyMode, PolicyRecord } from './records.ts';

export const MODE_ANNOTATION = 'podfence.io/mode';
const MODES: readonly PolicyMode[] = ['enforce', 'audit'];

/** The policy's own mode, else that of its namespace, else `enforce`. */
export function modeOf(
  policy: Pick<PolicyRecord, 'mode'>,
  namespace: { readonly mode?: NamespaceRecord['mode'] | undefined } | undefined,
): PolicyMode {
  return policy.mode ?? namespace?.mode ?? 'enforce';
}

/**
 * Of the policies that select a pod for a direction those that decide there: the enforced ones, and where there are none the audited ones. An audited policy beside
 * enforced ones could only allow what they do not.
 */
export function deciding<P>(selecting: readonly P[], mode: (policy: P) => PolicyMode): readonly P[] {
  const enforced = selecting.filter((policy) => mode(policy) === 'enforce');
  return enforced.length > 0 ? enforced : selecting;
}

/** Reads the annotation of an object's `metadata`. A value that is no mode is told of, and means `enforce`. */
export function readMode(metadata: Field): { readonly mode?: PolicyMode } {
  const field = metadata.child('annotations').child(MODE_ANNOTATION);
  if (field.isAbsent) return {};
  const mode = MODES.find((known) => known === field.value);
  if (mode !== undefined) return { mode };
  const { value } = field;
  field.problem(
    `${typeof value === 'string' ? show(value) : describe(value)} is not a mode; modes are audit and enforce, and what is annotated so is enforced`,
    typeof value === 'string' ? didYouMean(value.trim().toLowerCase(), MODES) : undefined,
    { isWarning: true },
  );
  return { mode: 'enforce' };
}

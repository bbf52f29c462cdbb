/** Turns problems from reading manifests into findings. */
import { type Finding, findingOf } from './finding.ts';
import type { ReadingProblem } from './input.ts';
import type { RuleName } from './rules.ts';

/** Every field name in the spec of a networking.k8s.io/v1 NetworkPolicy, at any depth. */
const POLICY_FIELDS: ReadonlySet<string> = new Set([
  ...['spec', 'podSelector', 'policyTypes', 'ingress', 'egress', 'from', 'to', 'ports'],
  ...['port', 'protocol', 'endPort', 'namespaceSelector', 'ipBlock', 'cidr', 'except'],
  ...['matchLabels', 'matchExpressions', 'key', 'operator', 'values'],
]);

export function readingFinding(problem: ReadingProblem): Finding {
  const { severity, unknownField, isNoObject, isOverlay, ...rest } = problem;
  const rule = ruleFor(problem);
  // A folder with variants of an application contains most objects several times.
  const isVariant = rule === 'replaced-object' && (isOverlay || !problem.object.startsWith('NetworkPolicy '));
  return findingOf(rule, { ...rest, severity: isVariant ? 'info' : rule === 'invalid-value' ? severity : undefined });
}

function ruleFor({ severity, field, unknownField, isNoObject }: ReadingProblem): RuleName {
  if (isNoObject) return 'no-object';
  if (severity === 'warning') return field === '' ? 'replaced-object' : 'invalid-value';
  if (unknownField !== undefined) return POLICY_FIELDS.has(unknownField) ? 'misplaced-field' : 'unknown-field';
  return field === '' ? 'unreadable' : 'invalid-value';
}

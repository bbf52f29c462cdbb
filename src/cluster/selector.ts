/** Label selectors (meta/v1 LabelSelector), matched as the API server matches them. */
import type { LabelSelector, Labels, SelectorRequirement } from './records.ts';

/**
 * Returns all requirements of a selector in one form: `matchLabels` entries become `In` with one
 * value.
 */
export function requirementsOf({ matchLabels, matchExpressions }: LabelSelector): readonly SelectorRequirement[] {
  const equal = Object.entries(matchLabels).map(([key, value]) => ({ key, operator: 'In' as const, values: [value] }));
  return [...equal, ...matchExpressions];
}

/**
 * Whether `labels` satisfy every requirement of the selector. An empty selector matches everything.
 */
export function matchesSelector(selector: LabelSelector, labels: Labels): boolean {
  const { matchLabels, matchExpressions } = selector;
  for (const key in matchLabels) if (labelOf(labels, key) !== matchLabels[key]) return false;
  for (const requirement of matchExpressions) if (!matchesRequirement(requirement, labels)) return false;
  return true;
}

export function matchesRequirement(requirement: SelectorRequirement, labels: Labels): boolean {
  const value = labelOf(labels, requirement.key);
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && requirement.values.includes(value);
    case 'NotIn':
      // The API reference counts an absent key as not in the set: objects without the key match,
      // too.
      return value === undefined || !requirement.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** Looks at own properties only, because `constructor` is a legal label key. */
export function labelOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

export function isEmptySelector(selector: LabelSelector): boolean {
  return selector.matchExpressions.length === 0 && Object.keys(selector.matchLabels).length === 0;
}

/**
 * Returns the canonical text of a selector, for interning. Selectors that differ only in the order
 * of requirements or values, or in writing a `matchLabels` entry as `In` with one value, have the
 * same key. Equal keys match the same labels.
 */
export function selectorKey(selector: LabelSelector): string {
  const requirements = new Set<string>();
  for (const [key, value] of Object.entries(selector.matchLabels)) {
    requirements.add(JSON.stringify([key, 'In', value]));
  }
  for (const { key, operator, values } of selector.matchExpressions) {
    requirements.add(JSON.stringify([key, operator, ...[...new Set(values)].sort()]));
  }
  return [...requirements].sort().join(' ');
}

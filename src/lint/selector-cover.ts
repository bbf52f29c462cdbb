/** Compares what selectors match by their requirements alone. */
import type { LabelSelector, SelectorRequirement } from '../cluster/records.ts';

/**
 * Whether `wide` surely matches everything that `narrow` can match. False may also mean "unsure".
 */
export function selectorCovers(wide: LabelSelector, narrow: LabelSelector): boolean {
  const given = requirementsOf(narrow);
  return requirementsOf(wide).every((needed) => given.some((each) => follows(needed, each)));
}

/** Whether a selector says what it matches, not only what it does not; `{}` matches everything. */
export function isPositive({ matchExpressions }: LabelSelector): boolean {
  return matchExpressions.every(({ operator }) => operator === 'In' || operator === 'Exists');
}

function requirementsOf({ matchLabels, matchExpressions }: LabelSelector): readonly SelectorRequirement[] {
  const equalities = Object.entries(matchLabels).map(
    ([key, value]): SelectorRequirement => ({ key, operator: 'In', values: [value] }),
  );
  return [...equalities, ...matchExpressions];
}

/** Whether labels that satisfy `given` satisfy `needed`. */
function follows(needed: SelectorRequirement, given: SelectorRequirement): boolean {
  if (needed.key !== given.key) return false;
  switch (needed.operator) {
    case 'In':
      return given.operator === 'In' && given.values.every((value) => needed.values.includes(value));
    case 'NotIn':
      if (given.operator === 'In') return !given.values.some((value) => needed.values.includes(value));
      if (given.operator === 'NotIn') return needed.values.every((value) => given.values.includes(value));
      return given.operator === 'DoesNotExist';
    case 'Exists':
      return given.operator === 'In' || given.operator === 'Exists';
    case 'DoesNotExist':
      return given.operator === 'DoesNotExist';
  }
}

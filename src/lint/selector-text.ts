/** Selectors as people write them on a command line. */
import type { LabelSelector } from '../cluster/records.ts';

/** Returns `app=web,tier in (a,b)`, as `kubectl get -l` takes it; `any labels` for an empty one. */
export function selectorText({ matchLabels, matchExpressions }: LabelSelector): string {
  const parts = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  for (const { key, operator, values } of matchExpressions) {
    if (operator === 'Exists') parts.push(key);
    else if (operator === 'DoesNotExist') parts.push(`!${key}`);
    else parts.push(`${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`);
  }
  return parts.length === 0 ? 'any labels' : parts.join(',');
}

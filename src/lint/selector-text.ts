/** Selectors as people write them on a command line. */
import type { LabelSelector } from '../cluster/records.ts';

/** The selector in the notation of `kubectl get -l`: `app=web,tier in (a,b)`; `any labels` where it is empty. */
export function selectorText({ matchLabels, matchExpressions }: LabelSelector): string {
  const parts = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  for (const { key, operator, values } of matchExpressions) {
    if (operator === 'Exists') parts.push(key);
    else if (operator === 'DoesNotExist') parts.push(`!${key}`);
    else parts.push(`${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`);
  }
  return parts.length === 0 ? 'any labels' : parts.join(',');
}

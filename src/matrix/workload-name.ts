/**
 * The workload that a pod's name suggests. The name only serves to merge replicas that no policy
 * tells apart.
 */
import type { PodRecord } from '../cluster/records.ts';

/** The alphabet of generated names: no vowels and no lookalikes (apimachinery, util/rand). */
const RANDOM = '[bcdfghjklmnpqrstvwxz2456789]';
const RANDOM_SUFFIX = new RegExp(`-${RANDOM}{5}$`);
const TEMPLATE_HASH = new RegExp(`-${RANDOM}{6,10}$`);
const NUMBER = /-\d+$/;

/**
 * Returns `frontend` for `frontend-6d4cf56db6-x2x7k`, `frontend-x2x7k` and `frontend-2`; the whole
 * name if nothing in it looks generated.
 */
export function workloadName({ name, labels }: PodRecord): string {
  const withoutRandom = name.replace(RANDOM_SUFFIX, '');
  if (withoutRandom === name) return name.replace(NUMBER, '');
  const hash = labels['pod-template-hash'];
  if (hash !== undefined && withoutRandom.endsWith(`-${hash}`)) return withoutRandom.slice(0, -hash.length - 1);
  return withoutRandom.replace(TEMPLATE_HASH, '').replace(NUMBER, '');
}

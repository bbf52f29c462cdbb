/**
 * Whose an address is where the records of several pods have it. The network gives an address to one pod at a time, but records outlive what they tell of: a pod on
 * a lost node is listed until somebody deletes it, one that is being deleted for as long as it takes, and a pod that has ended is seen to have ended a moment after
 * its address went to the next.
 */
import type { PodRecord } from './records.ts';

/** What of a record decides. */
export type Claimant = Pick<PodRecord, 'created' | 'deleting' | 'lost'>;

/** Added up: what is on a lost node comes after what is being deleted. */
const ON_KNOWN_NODE = 2;
const NOT_DELETED = 1;
/** Above any second since 1970 that a timestamp of the API can name (year 9999). */
const STEP = 1e12;

/**
 * Of several claimants those with the highest precedence own the address: a pod that lives before one that is being deleted, that before one on a lost node, and
 * of equals the one that was created last. Where that does not decide, they share it: nobody knows whose packet it is, so that a verdict must hold for each.
 */
export function precedence({ created = 0, deleting, lost }: Claimant): number {
  const standing = (lost ? 0 : ON_KNOWN_NODE) + (deleting ? 0 : NOT_DELETED);
  return standing * STEP + created;
}

/** The claimants that own the address, in their order; several where they share it. */
export function ownersAmong<T extends Claimant>(claimants: readonly T[]): readonly T[] {
  if (claimants.length < 2) return claimants;
  const highest = Math.max(...claimants.map(precedence));
  return claimants.filter((claimant) => precedence(claimant) === highest);
}

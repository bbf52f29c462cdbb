/**
 * Whose an address is where the records of several pods have it. The network gives an address to one pod at a time, but records outlive what they tell of: a pod on
 * a lost node is listed until somebody deletes it, one that is being deleted for as long as it takes, and a pod that has ended is seen to have ended a moment after
 * its address went to the next.
 */
import type { PodRecord } from './records.ts';

/** What of a record decides. */
export type Claimant = Pick<PodRecord, 'created' | 'deleting' | 'lost' | 'unready' | 'nodeName'>;

/**
 * The claimants that own the address, in their order; several where they share it, for nobody knows whose packet it is and a verdict must hold for each.
 *
 * A pod that is ready comes before one that is not, that before one that is being deleted, that before one on a lost node. Of equals on one node it is the one that was
 * created last: a node gives addresses out one after the other. Between nodes age says nothing: one of them may have restarted its pods since.
 */
export function ownersAmong<T extends Claimant>(claimants: readonly T[]): readonly T[] {
  if (claimants.length < 2) return claimants;
  const highest = Math.max(...claimants.map(standing));
  const best = claimants.filter((claimant) => standing(claimant) === highest);
  const newest = new Map<string | undefined, number>();
  for (const { nodeName, created = 0 } of best) newest.set(nodeName, Math.max(created, newest.get(nodeName) ?? 0));
  return best.filter(({ nodeName, created = 0 }) => created === newest.get(nodeName));
}

function standing({ lost, deleting, unready }: Claimant): number {
  return (lost ? 0 : 4) + (deleting ? 0 : 2) + (unready ? 0 : 1);
}

/** Would the two decide alike? */
export function sameClaim(a: Claimant, b: Claimant): boolean {
  return a.created === b.created && a.nodeName === b.nodeName && standing(a) === standing(b);
}

/** The owners of every address that pods have in networks of their own. */
export function ownersByAddress(pods: readonly PodRecord[]): ReadonlyMap<string, readonly PodRecord[]> {
  const claimants = new Map<string, PodRecord[]>();
  for (const pod of pods) {
    if (pod.hostNetwork) continue;
    for (const address of pod.addresses) {
      const those = claimants.get(address);
      if (those === undefined) claimants.set(address, [pod]);
      else those.push(pod);
    }
  }
  return new Map([...claimants].map(([address, those]) => [address, ownersAmong(those)]));
}

/** Where an address is. */
export interface Host {
  readonly address: string;
  /** Undefined where it is not known, or pods of several nodes share the address. */
  readonly node: string | undefined;
  /** The node's own, and not a pod's. */
  readonly isNode: boolean;
}

/** All that pods tell of where addresses are: those in a network of their own of themselves, the others of their node. */
export function hostsOf(pods: readonly PodRecord[]): readonly Host[] {
  const nodes = pods
    .filter(({ hostNetwork }) => hostNetwork)
    .flatMap(({ addresses, nodeName }) => addresses.map((address) => ({ address, node: nodeName, isNode: true })));
  const own = [...ownersByAddress(pods)].map(([address, owners]) => {
    const [node, ...others] = new Set(owners.map(({ nodeName }) => nodeName));
    return { address, node: others.length === 0 ? node : undefined, isNode: false };
  });
  return [...own, ...nodes];
}

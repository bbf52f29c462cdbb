/**
 * Decides whose an address is if the records of several pods have it. The network gives an address
 * to one pod at a time, but records lag behind: a pod on a lost node stays listed until it is
 * deleted, a pod that is being deleted stays until that is done, and a pod that has ended is
 * reported a moment after its address went to the next.
 */
import type { PodRecord } from './records.ts';

/** The fields of a record that decide. */
export type Claimant = Pick<PodRecord, 'created' | 'deleting' | 'lost' | 'unready' | 'nodeName'>;

/**
 * Returns the claimants that own the address, in their order. Several share it if the records do
 * not show whose packets they are; a verdict must then hold for each.
 *
 * A ready pod comes before one that is not ready, that before one that is being deleted, that
 * before one on a lost node. Of equals on one node the newest owns the address, because a node
 * gives addresses out one after the other. Between nodes age says nothing: one of them may have
 * restarted its pods since.
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

/** Whether both claims rank the same. */
export function sameClaim(a: Claimant, b: Claimant): boolean {
  return a.created === b.created && a.nodeName === b.nodeName && standing(a) === standing(b);
}

/** Returns the owners of every pod address. Pods in the node's network own none. */
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
  /** Undefined if it is unknown, or if pods of several nodes share the address. */
  readonly node: string | undefined;
  /** Whether it is the node's own address, not a pod's. */
  readonly isNode: boolean;
}

/**
 * Returns where addresses are, as far as pods show it: a pod in the node's network shows its node's
 * addresses, any other pod its own.
 */
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

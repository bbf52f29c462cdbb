/** Flows of random clusters, with the protocols that users ask about. */

import fc from 'fast-check';
import type { PodRecord } from '../../src/cluster/records.ts';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import type { FlowEnd } from '../../src/explain/flow-end.ts';
import { type FlowProtocol, NO_PORT } from '../../src/explain/judgement.ts';
import { ClusterModel } from '../policy/cluster-model.ts';
import { ADDRESSES, grownHistory, PACKETS } from '../policy/random-cluster.ts';

const NAMES: Readonly<Record<number, FlowProtocol>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP', 1: 'ICMP' };

export interface RandomFlow {
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  readonly protocol: FlowProtocol;
  readonly port: number;
}

const ASKED = PACKETS.flatMap(([protocol, port]) => {
  const name = NAMES[protocol];
  return name === undefined || (name === 'ICMP') !== port < 0
    ? []
    : [{ protocol: name, port: port < 0 ? NO_PORT : port }];
});

/** Does what `Ends.at` does, without sharing its code. */
export function endAt({ pods }: ClusterSnapshot, address: string): FlowEnd {
  const pod = podAt(pods, address);
  if (pod === undefined) return { kind: 'address', address };
  return { kind: 'pod', namespace: pod.namespace, name: pod.name, address, node: pod.nodeName };
}

export function podAt(pods: readonly PodRecord[], address: string): PodRecord | undefined {
  return pods.find(({ hostNetwork, addresses }) => !hostNetwork && addresses.includes(address));
}

/** Returns a flow between two addresses of one family. */
export function randomFlow(snapshot: ClusterSnapshot, pick: Pick): RandomFlow {
  const source = pick(ADDRESSES);
  const destination = pick(ADDRESSES.filter((address) => address.includes(':') === source.includes(':')));
  return { from: endAt(snapshot, source), to: endAt(snapshot, destination), ...pick(ASKED) };
}

const SEED = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };

/** Picks a random item of a list. */
export type Pick = <T>(list: readonly T[]) => T;

/**
 * Runs `check` on random clusters, each grown by changes. fast-check prints the seed of a failure;
 * FC_SEED runs it again.
 */
export function onRandomClusters(runs: number, check: (snapshot: ClusterSnapshot, pick: Pick) => void): void {
  fc.assert(
    fc.property(grownHistory, fc.infiniteStream(fc.nat()), (batches, numbers) => {
      const model = new ClusterModel();
      for (const batch of batches) model.apply(batch);
      check(
        model.snapshotOfOwners(),
        (list) => list[(numbers.next().value as number) % list.length] as (typeof list)[number],
      );
    }),
    { numRuns: runs, ...SEED },
  );
}

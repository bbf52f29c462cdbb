/** A cluster as a plain list of records, for tests: what changes make of it. */
import { type ClusterRecord, recordKey } from '../../src/cluster/records.ts';
import type { ClusterChange, ClusterSnapshot } from '../../src/cluster/store.ts';
import { ownersOf } from '../reference/evaluator.ts';

export class ClusterModel {
  private readonly records = new Map<string, ClusterRecord>();

  apply(changes: readonly ClusterChange[]): void {
    for (const { type, record } of changes) {
      const key = `${record.kind} ${recordKey(record)}`;
      if (type === 'set') this.records.set(key, record);
      else this.records.delete(key);
    }
  }

  /** The records as they are, but each address with one pod alone, one of those that share it, and none with a host. */
  snapshotOfOwners(): ClusterSnapshot {
    const snapshot = this.snapshot();
    const pods = snapshot.pods.map((pod) => ({
      ...pod,
      addresses: pod.addresses.filter((address) => ownersOf(snapshot, address)[0] === pod),
    }));
    return { ...snapshot, pods };
  }

  snapshot(): ClusterSnapshot {
    const records = [...this.records.values()];
    return {
      namespaces: records.filter((record) => record.kind === 'Namespace'),
      pods: records.filter((record) => record.kind === 'Pod'),
      policies: records.filter((record) => record.kind === 'NetworkPolicy'),
    };
  }
}

/** The changes that make a snapshot of an empty cluster: policies first, so that everything arrives in the order that is hardest. */
export function changesOf({ namespaces, pods, policies }: ClusterSnapshot): ClusterChange[] {
  return [...policies, ...pods, ...namespaces].map((record) => ({ type: 'set', record }));
}

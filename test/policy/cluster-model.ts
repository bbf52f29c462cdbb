/** A cluster as a plain list of records, for tests: the result of applying changes. */
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

  /**
   * Returns the records, but with each address only at one of the pods that share it, and none at
   * hostNetwork pods.
   */
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

/**
 * Returns the changes that turn an empty cluster into the snapshot. Policies come first, the
 * hardest order.
 */
export function changesOf({ namespaces, pods, policies }: ClusterSnapshot): ClusterChange[] {
  return [...policies, ...pods, ...namespaces].map((record) => ({ type: 'set', record }));
}

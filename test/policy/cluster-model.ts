/** A cluster as a plain list of records, for tests: what changes make of it, and which pod owns an address that several claim. */
import { type ClusterRecord, type PodRecord, recordKey } from '../../src/cluster/records.ts';
import type { ClusterChange, ClusterSnapshot } from '../../src/cluster/store.ts';

export class ClusterModel {
  private readonly records = new Map<string, ClusterRecord>();
  /** Pods that have an address, by key, in the order in which they got it. */
  private readonly claims = new Map<string, string[]>();

  apply(changes: readonly ClusterChange[]): void {
    for (const { type, record } of changes) {
      const key = `${record.kind} ${recordKey(record)}`;
      const before = this.records.get(key);
      if (record.kind === 'Pod') {
        this.claim(recordKey(record), addressesOf(before), type === 'set' ? addressesOf(record) : []);
      }
      if (type === 'set') this.records.set(key, record);
      else this.records.delete(key);
    }
  }

  /** The records as they are; each address only with its owner, the pod that got it last. */
  snapshot(): ClusterSnapshot {
    const records = [...this.records.values()];
    return {
      namespaces: records.filter((record) => record.kind === 'Namespace'),
      pods: records
        .filter((record) => record.kind === 'Pod')
        .map((pod) => ({
          ...pod,
          addresses: addressesOf(pod).filter((address) => this.claims.get(address)?.at(-1) === recordKey(pod)),
        })),
      policies: records.filter((record) => record.kind === 'NetworkPolicy'),
    };
  }

  private claim(pod: string, before: readonly string[], after: readonly string[]): void {
    for (const address of new Set([...before, ...after])) {
      const claims = this.claims.get(address) ?? [];
      if (!after.includes(address))
        this.claims.set(
          address,
          claims.filter((each) => each !== pod),
        );
      else if (!before.includes(address)) this.claims.set(address, [...claims, pod]);
    }
  }
}

/** The changes that make a snapshot of an empty cluster: policies first, so that everything arrives in the order that is hardest. */
export function changesOf({ namespaces, pods, policies }: ClusterSnapshot): ClusterChange[] {
  return [...policies, ...pods, ...namespaces].map((record) => ({ type: 'set', record }));
}

function addressesOf(record: ClusterRecord | undefined): readonly string[] {
  return record?.kind !== 'Pod' || record.hostNetwork ? [] : (record satisfies PodRecord).addresses;
}

/** Names the end of a flow: the pod or node that has the address, or the address alone. */
import { LRUCache } from 'lru-cache';
import type { ClusterChange } from '../cluster/store.ts';
import { podEnd } from '../explain/ends.ts';
import type { FlowEnd } from '../explain/flow-end.ts';
import type { Attribution } from '../policy/attribution.ts';
import type { NodeIdentity } from '../policy/compiler.ts';

/** Most node addresses remembered. */
const NODES = 16_384;

export class FlowEnds {
  readonly #attribution: Attribution;
  /**
   * Node names by address. The agent does not read Node objects, so hostNetwork pods supply the
   * addresses of their nodes.
   */
  readonly #nodes = new LRUCache<string, string>({ max: NODES });
  readonly #own: NodeIdentity;

  constructor(attribution: Attribution, node: NodeIdentity) {
    this.#attribution = attribution;
    this.#own = node;
  }

  apply(changes: readonly ClusterChange[]): void {
    for (const { type, record } of changes) {
      if (type === 'delete' || record.kind !== 'Pod' || !record.hostNetwork || record.nodeName === undefined) continue;
      for (const address of record.addresses) this.#nodes.set(address, record.nodeName);
    }
  }

  /** @param address in canonical text */
  at(address: string): FlowEnd {
    const pod = this.#attribution.podAt(address);
    if (pod !== undefined) return podEnd(pod, address);
    const node = this.#own.addresses.includes(address) ? this.#own.name : this.#nodes.get(address);
    return node === undefined ? { kind: 'address', address } : { kind: 'node', name: node, address };
  }
}

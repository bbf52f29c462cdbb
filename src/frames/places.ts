/** Addresses that a packet tells nothing more about than who they are: nodes, and Services. Looked up only for packets that open a flow or are denied. */
import type { Packet } from '../packet/packet.ts';

/** One int32 word of an IPv4 address, or four. */
export type Words = readonly number[];

/** Of a cluster, so that another thread can be told of it. */
export interface PlacesInit {
  /** Of every pod with a network of its own, and of every node: its addresses, and the node's name. */
  readonly hosts: readonly { readonly address: Words; readonly node: string; readonly isNode: boolean }[];
  /** Cluster IPs. */
  readonly services: readonly Words[];
}

interface Place {
  readonly node: string;
  readonly isNode: boolean;
}

export class Places {
  readonly #hosts = new Map<number | string, Place>();
  readonly #services = new Set<number | string>();

  constructor({ hosts, services }: PlacesInit) {
    for (const { address, node, isNode } of hosts) this.#hosts.set(keyOf(address), { node, isNode });
    for (const address of services) this.#services.add(keyOf(address));
  }

  /** Is it between a pod and the node that the pod runs on? */
  isLocalNode(packet: Packet): boolean {
    if (this.#hosts.size === 0) return false;
    const source = this.#hosts.get(sourceKey(packet));
    const destination = this.#hosts.get(destinationKey(packet));
    return (
      source !== undefined &&
      destination !== undefined &&
      source.node === destination.node &&
      source.isNode !== destination.isNode
    );
  }

  /** Is one end a Service, and not yet, or not any more, a backend of it? */
  concernsService(packet: Packet): boolean {
    if (this.#services.size === 0) return false;
    return this.#services.has(sourceKey(packet)) || this.#services.has(destinationKey(packet));
  }
}

function keyOf(address: Words): number | string {
  return address.length === 1 ? (address[0] as number) : address.join(' ');
}

function sourceKey({ family, src0, src1, src2, src3 }: Packet): number | string {
  return family === 4 ? src0 : `${src0} ${src1} ${src2} ${src3}`;
}

function destinationKey({ family, dst0, dst1, dst2, dst3 }: Packet): number | string {
  return family === 4 ? dst0 : `${dst0} ${dst1} ${dst2} ${dst3}`;
}

/**
 * Which addresses belong to nodes, pods and Services. Looked up only for packets that open a flow
 * or are denied.
 */
import type { Packet } from '../packet/packet.ts';

/** One int32 word for an IPv4 address, four for an IPv6 one. */
export type Words = readonly number[];

/** The addresses of a cluster, in a form that another thread can receive. */
export interface PlacesInit {
  /** Every address of each pod with its own network and of each node, with the node's name. */
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

  /** Whether the packet goes between a pod and the node that the pod runs on. */
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

  /**
   * Whether one end is a Service's own address: before DNAT to a backend, or after replies were
   * translated back.
   */
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

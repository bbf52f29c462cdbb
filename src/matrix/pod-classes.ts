/**
 * Pods that no policy tells apart: of the same namespace, with labels that answer every selector alike, the same ports, and addresses that the
 * same ipBlocks hold. What is judged for one of them holds for all.
 */
import { ownersByAddress } from '../cluster/address-owners.ts';
import { parseAddress } from '../cluster/addresses.ts';
import type { LabelSelector, PodRecord, PolicyRecord } from '../cluster/records.ts';
import { labelOf, requirementsOf } from '../cluster/selector.ts';
import { AddressRegions } from './address-regions.ts';

/** The values of a label that no selector names are all one. */
const UNNAMED = 0;

export class PodClasses {
  /** By the key of each label that a selector asks for: the values that selectors name. */
  readonly #labels = new Map<string, Set<string>>();
  readonly #regions: AddressRegions;

  constructor(policies: readonly PolicyRecord[]) {
    for (const { key, values } of policies.flatMap(podSelectorsOf).flatMap(requirementsOf)) {
      const named = this.#labels.get(key) ?? new Set();
      this.#labels.set(key, named);
      for (const value of values) named.add(value);
    }
    this.#regions = new AddressRegions(policies);
  }

  /** Text that is equal for pods of the same class, and for no others. */
  key({ namespace, labels, ports, addresses }: PodRecord): string {
    return JSON.stringify([
      namespace,
      [...this.#labels].map(([key, named]) => {
        const value = labelOf(labels, key);
        return value === undefined || named.has(value) ? value : UNNAMED;
      }),
      ports.map(({ name, port, protocol }) => `${protocol} ${port} ${name ?? ''}`).sort(),
      addresses.map((text) => {
        const address = parseAddress(text);
        return address === undefined ? '' : this.#regions.key(address);
      }),
    ]);
  }
}

/** The pods that policies can select: those with an address and a network of their own, and no address that is another pod's by now. */
export function selectablePods(pods: readonly PodRecord[]): readonly PodRecord[] {
  const owners = ownersByAddress(pods);
  const owns = (pod: PodRecord) => pod.addresses.every((address) => owners.get(address)?.includes(pod));
  return pods.filter((pod) => !pod.hostNetwork && pod.addresses.length > 0 && owns(pod));
}

function podSelectorsOf({ podSelector, ingress, egress }: PolicyRecord): LabelSelector[] {
  const peers = [...ingress, ...egress].flatMap((rule) => rule.peers);
  return [podSelector, ...peers.flatMap((peer) => peer.podSelector ?? [])];
}

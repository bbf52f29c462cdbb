/**
 * Classes of pods that no policy tells apart: they have the same namespace and ports, labels that
 * match the same selectors, and addresses in the same ipBlocks. A judgement about one pod holds for
 * its class.
 */
import { ownersByAddress } from '../cluster/address-owners.ts';
import { parseAddress } from '../cluster/addresses.ts';
import type { LabelSelector, PodRecord, PolicyRecord } from '../cluster/records.ts';
import { labelOf, requirementsOf } from '../cluster/selector.ts';
import { AddressRegions } from './address-regions.ts';

/** Stands for every value of a label that no selector names. */
const UNNAMED = 0;

export class PodClasses {
  /** The values that selectors name, by label key. */
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

  /** Returns a text that is equal for pods of the same class, and for no others. */
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

/**
 * Returns the pods that policies can select: those with a network of their own and with addresses,
 * none of which another pod has by now.
 */
export function selectablePods(pods: readonly PodRecord[]): readonly PodRecord[] {
  const owners = ownersByAddress(pods);
  const owns = (pod: PodRecord) => pod.addresses.every((address) => owners.get(address)?.includes(pod));
  return pods.filter((pod) => !pod.hostNetwork && pod.addresses.length > 0 && owns(pod));
}

function podSelectorsOf({ podSelector, ingress, egress }: PolicyRecord): LabelSelector[] {
  const peers = [...ingress, ...egress].flatMap((rule) => rule.peers);
  return [podSelector, ...peers.flatMap((peer) => peer.podSelector ?? [])];
}

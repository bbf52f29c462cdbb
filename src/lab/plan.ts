/** The parts of a lab: nodes, pods with their nodes and addresses, external hosts, Services. */
import { type PodRecord, recordKey } from '../cluster/records.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import type { ServiceRecord } from '../manifests/services.ts';
import { type LabNode, labNodes, nodeNames, Scheduler } from './scheduling.ts';

export interface ExternalHost {
  readonly name: string;
  readonly address: string;
}

/** An external host with all its addresses: entries with the same name are one host. */
export interface LabExternal {
  readonly name: string;
  readonly addresses: readonly string[];
}

export interface LabInput {
  readonly snapshot: ClusterSnapshot;
  readonly services: readonly ServiceRecord[];
}

export class Plan {
  readonly nodes: readonly LabNode[];
  readonly externals: readonly LabExternal[];
  readonly #scheduler: Scheduler;

  constructor(input: LabInput, nodes: number | readonly string[] | undefined, externals: readonly ExternalHost[]) {
    this.externals = [...Map.groupBy(externals, ({ name }) => name)].map(([name, hosts]) => ({
      name,
      addresses: hosts.map(({ address }) => address),
    }));
    const { pods } = input.snapshot;
    const names = nodeNames(pods, nodes);
    const guests = pods.filter((pod) => !pod.hostNetwork).flatMap(({ addresses }) => addresses);
    const outside = this.externals.flatMap(({ addresses }) => addresses);
    const services = input.services.flatMap(({ clusterIPs }) => clusterIPs);
    this.nodes = labNodes(names, pods, new Set([...guests, ...outside, ...services]));
    this.#scheduler = new Scheduler(this.nodes);
  }

  /**
   * Assigns nodes to the pods of a snapshot. If pods share an address, only the first one keeps it.
   */
  place(snapshot: ClusterSnapshot): PlacedSnapshot {
    const notes: string[] = [];
    const owners = new Map<string, string>(
      this.externals.flatMap(({ name, addresses }) => addresses.map((each) => [each, name])),
    );
    const pods = snapshot.pods.map((pod) => {
      const placed = this.placePod(pod);
      if (placed.hostNetwork) return placed;
      const addresses = placed.addresses.filter((address) => {
        const owner = owners.get(address);
        if (owner === undefined) owners.set(address, recordKey(placed));
        else notes.push(`${recordKey(placed)} has the same address as ${owner}, ${address}, and does not get it`);
        return owner === undefined;
      });
      return { ...placed, addresses };
    });
    return { snapshot: { ...snapshot, pods }, notes };
  }

  placePod(pod: PodRecord): PodRecord {
    return this.#scheduler.place(pod);
  }
}

export interface PlacedSnapshot {
  readonly snapshot: ClusterSnapshot;
  /** Where the lab deviates from the manifests, as sentences. */
  readonly notes: readonly string[];
}

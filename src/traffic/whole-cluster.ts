/**
 * A cluster, compiled to judge captured traffic: every pod is an endpoint of one table, so both
 * directions of a flow are judged wherever it is captured. It also knows which addresses belong to
 * nodes and Services.
 */
import { hostsOf } from '../cluster/address-owners.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import { type ClusterChange, type ClusterSnapshot, ClusterStore } from '../cluster/store.ts';
import { Ends } from '../explain/ends.ts';
import type { FlowEnd } from '../explain/flow-end.ts';
import type { PlacesInit } from '../frames/places.ts';
import { type AddressWords, addressWords } from '../policy/address-words.ts';
import { Attribution } from '../policy/attribution.ts';
import { type NodeIdentity, PolicyCompiler } from '../policy/compiler.ts';
import { turnedPolicies } from '../policy/refused-policies.ts';
import type { RuleTable } from '../policy/rule-table.ts';

/** What captured packets are judged by. */
export interface ClusterTable {
  readonly table: RuleTable;
  readonly places: PlacesInit;
}

export class WholeCluster {
  readonly attribution = new Attribution();
  readonly #store = new ClusterStore();
  readonly #compiler = new PolicyCompiler(undefined);
  readonly #nodes: readonly NodeIdentity[];
  readonly #services: readonly ServiceRecord[];
  #ends: Ends | undefined;

  /** @param nodes nodes whose addresses come from another source than hostNetwork pods */
  constructor(snapshot: ClusterSnapshot, services: readonly ServiceRecord[], nodes: readonly NodeIdentity[] = []) {
    this.#nodes = nodes;
    this.#services = services;
    this.#take(this.#store.replace(snapshot));
  }

  apply(changes: readonly ClusterChange[]): void {
    this.#take(this.#store.apply(changes));
  }

  /** Replaces all records by the snapshot's. Returns whether anything changed. */
  replace(snapshot: ClusterSnapshot): boolean {
    const changes = this.#store.replace(snapshot);
    this.#take(changes);
    return changes.length > 0;
  }

  compile(): ClusterTable {
    const { pods } = this.#store.snapshot();
    const { table } = this.#compiler.compile();
    this.attribution.apply(turnedPolicies(this.#compiler));
    return {
      table,
      places: {
        hosts: [
          ...hostsOf(pods).flatMap(({ address, node, isNode }) =>
            node === undefined ? [] : words([address]).map((each) => ({ address: each, node, isNode })),
          ),
          ...this.#nodes.flatMap(({ name, addresses }) =>
            words(addresses).map((address) => ({ address, node: name, isNode: true })),
          ),
        ],
        services: this.#services.flatMap(({ clusterIPs }) => words(clusterIPs)),
      },
    };
  }

  /** Returns the pod or node that has an address (canonical text), or the bare address. */
  endAt(address: string): FlowEnd {
    this.#ends ??= new Ends(this.#store.snapshot(), this.#services, this.#nodes);
    return this.#ends.at(address);
  }

  #take(changes: readonly ClusterChange[]): void {
    this.#ends = undefined;
    this.attribution.apply(changes);
    this.#compiler.apply(changes);
  }
}

function words(addresses: readonly string[]): AddressWords[] {
  return addresses.flatMap((address) => {
    const known = addressWords(address);
    return known === undefined ? [] : [known];
  });
}

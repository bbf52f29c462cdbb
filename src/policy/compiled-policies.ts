/**
 * The result of a compile: the table for the packet path and, for people, what its numbers mean.
 */

import { deciding } from '../cluster/mode.ts';
import type { Direction } from '../cluster/records.ts';
import { addressWords } from './address-words.ts';
import type { Concerned } from './concerned.ts';
import type { Policy } from './model.ts';
import type { RuleTable } from './rule-table.ts';
import type { ArraySnapshot } from './snapshot-array.ts';

export interface CompiledPolicies {
  readonly table: RuleTable;
  /**
   * Addresses, in canonical text and sorted, of this node's endpoints that are steered: policies
   * isolate them in a direction, audited ones included.
   */
  readonly steered: readonly string[];
  /** The flows that may have lost an allowance since the previous table. */
  readonly concerned: Concerned;
  /**
   * Returns `namespace/name`, sorted, of the policies that isolate the endpoint with this address,
   * or one that shares it: the enforced ones or, if there are none, the audited ones. [] if it is
   * no isolated endpoint.
   */
  isolatingPolicies(address: string, direction: Direction): readonly string[];
  /**
   * Returns `namespace/name` of the pod with this address, on any node; of all pods, sorted, if
   * several share it.
   */
  podsAt(address: string): readonly string[];
}

export class CompiledTable implements CompiledPolicies {
  readonly table: RuleTable;
  readonly steered: readonly string[];
  readonly concerned: Concerned;
  private readonly podNames: ArraySnapshot<string>;
  /** By endpoint class. */
  private readonly policies: ReadonlyMap<number, readonly Policy[]>;

  constructor(
    table: RuleTable,
    steered: readonly string[],
    concerned: Concerned,
    podNames: ArraySnapshot<string>,
    policies: ReadonlyMap<number, readonly Policy[]>,
  ) {
    this.table = table;
    this.steered = steered;
    this.concerned = concerned;
    this.podNames = podNames;
    this.policies = policies;
  }

  isolatingPolicies(address: string, direction: Direction): readonly string[] {
    const keys = this.slotsOf(address).flatMap((slot) => {
      const policies = this.policies.get(this.table.endpointClass(slot)) ?? [];
      const selecting = policies.filter(({ record }) => record.isolates.includes(direction));
      return deciding(selecting, ({ mode }) => mode).map(({ key }) => key);
    });
    return [...new Set(keys)].sort();
  }

  podsAt(address: string): readonly string[] {
    return this.slotsOf(address)
      .flatMap((slot) => this.podNames.at(slot) ?? [])
      .sort();
  }

  private slotsOf(address: string): readonly number[] {
    const slots: number[] = [];
    let next = this.slotOf(address);
    do {
      slots.push(this.table.sharer(next));
      next = this.table.nextSharer(next);
    } while (next !== -1);
    return slots;
  }

  private slotOf(address: string): number {
    const words = addressWords(address);
    if (words === undefined) return -1;
    const [a0 = 0, a1 = 0, a2 = 0, a3 = 0] = words;
    return words.length === 1 ? this.table.lookup4(a0) : this.table.lookup6(a0, a1, a2, a3);
  }
}

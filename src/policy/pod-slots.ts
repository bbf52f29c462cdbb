/** Which pod, or this node, an address belongs to: slots, and the tables that lead from addresses to them. */
import type { AddressWords } from './address-words.ts';
import { GrowingWords, Numbers } from './growing-words.ts';
import { type ArraySnapshot, SnapshotArray } from './snapshot-array.ts';
import { NODE_SLOT } from './table-layout.ts';
import { WordTable } from './word-table.ts';

export class PodSlots {
  private readonly numbers = new Numbers(NODE_SLOT + 1);
  private readonly names = new SnapshotArray<string>();
  /** Addresses that several claim, each with their slots in the order of claiming. */
  private readonly contested = new Map<string, number[]>();
  readonly addresses4: WordTable;
  readonly addresses6: WordTable;
  /** By slot: its identity, and whether it is an endpoint of this node. */
  readonly words = new GrowingWords();

  constructor(seed: number) {
    this.addresses4 = new WordTable(seed, 1);
    this.addresses6 = new WordTable(seed, 4);
    this.words.set(NODE_SLOT, 0);
  }

  take(name: string): number {
    const slot = this.numbers.take();
    this.names.set(slot, name);
    return slot;
  }

  giveBack(slot: number): void {
    this.names.set(slot, undefined);
    this.words.set(slot, 0);
    this.numbers.giveBack(slot);
  }

  describe(slot: number, identity: number, endpoint: boolean): void {
    this.words.set(slot, (identity << 1) | (endpoint ? 1 : 0));
  }

  /** The slot's pod has the address from now on. Of several, the last to claim it owns it; but nobody takes one from the node. */
  claim(address: AddressWords, slot: number): void {
    const owner = this.owner(address);
    if (owner < 0) {
      this.setOwner(address, slot);
      return;
    }
    const key = address.join();
    const claims = this.contested.get(key) ?? [owner];
    claims.push(slot);
    this.contested.set(key, claims);
    this.setOwner(address, lastClaim(claims));
  }

  /** The slot's pod does not have the address any more; who claimed it before owns it again. */
  release(address: AddressWords, slot: number): void {
    const key = address.join();
    const claims = this.contested.get(key);
    if (claims === undefined) {
      this.tableOf(address).delete(address);
      return;
    }
    claims.splice(claims.indexOf(slot), 1);
    if (claims.length === 1) this.contested.delete(key);
    this.setOwner(address, lastClaim(claims));
  }

  /** The slot that owns the address, or -1. */
  owner(address: AddressWords): number {
    return this.tableOf(address).get(address) - 1;
  }

  /** Names of the slots as they are now. */
  snapshotNames(): ArraySnapshot<string> {
    return this.names.snapshot();
  }

  private setOwner(address: AddressWords, slot: number): void {
    // 0 stands for a free entry.
    this.tableOf(address).set(address, slot + 1);
  }

  private tableOf(address: AddressWords): WordTable {
    return address.length === 1 ? this.addresses4 : this.addresses6;
  }
}

function lastClaim(claims: readonly number[]): number {
  return claims[0] === NODE_SLOT ? NODE_SLOT : (claims.at(-1) as number);
}

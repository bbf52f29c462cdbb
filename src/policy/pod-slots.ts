/** Which pods have an address: slots, and the tables that lead from addresses to them. */
import { type Claimant, ownersAmong, sameClaim } from '../cluster/address-owners.ts';
import { type AddressWords, addressText } from './address-words.ts';
import { GrowingWords, Numbers } from './growing-words.ts';
import { type ArraySnapshot, SnapshotArray } from './snapshot-array.ts';
import { MOST_SHARERS, SHARER_WORDS, TOO_MANY } from './table-layout.ts';
import { WordTable } from './word-table.ts';

/** An address that several pods claim. */
interface Contest {
  readonly address: AddressWords;
  readonly claimants: number[];
  /** The claimants that share it, or its one owner. */
  owners: readonly number[];
  /** First record in `sharers`, -1 if it has one owner. */
  list: number;
}

/** An address that several pods share, in canonical text, with the names of the pods. */
export interface SharedAddress {
  readonly address: string;
  readonly pods: readonly string[];
}

export class PodSlots {
  private readonly numbers = new Numbers(0);
  private readonly names = new SnapshotArray<string>();
  /** By slot. */
  private readonly claimants: Claimant[] = [];
  private readonly contests = new Map<string, Contest>();
  private readonly records = new Numbers(TOO_MANY + 1);
  /** Slots that began or stopped sharing an address since the last `takeResettled`. */
  private readonly resettled = new Set<number>();
  readonly addresses4: WordTable;
  readonly addresses6: WordTable;
  /** By slot: its identity, and whether it is an endpoint of this node. */
  readonly words = new GrowingWords();
  /** Lists of slots that share an address; see table-layout.ts. */
  readonly sharers = new GrowingWords();

  constructor(seed: number) {
    this.addresses4 = new WordTable(seed, 1);
    this.addresses6 = new WordTable(seed, 4);
    this.sharers.setAll(TOO_MANY * SHARER_WORDS, [-1, -1]);
  }

  take(name: string, claimant: Claimant): number {
    const slot = this.numbers.take();
    this.names.set(slot, name);
    this.claimants[slot] = claimant;
    return slot;
  }

  giveBack(slot: number): void {
    this.names.set(slot, undefined);
    this.words.set(slot, 0);
    this.resettled.delete(slot);
    this.numbers.giveBack(slot);
  }

  describe(slot: number, identity: number, endpoint: boolean): void {
    this.words.set(slot, (identity << 1) | (endpoint ? 1 : 0));
  }

  /** Adds the slot's pod to those that claim the address. */
  claim(address: AddressWords, slot: number): void {
    const value = this.tableOf(address).get(address);
    if (value === 0) {
      this.tableOf(address).set(address, slot + 1);
      return;
    }
    const key = address.join();
    let contest = this.contests.get(key);
    if (contest === undefined) {
      contest = { address, claimants: [value - 1], owners: [value - 1], list: -1 };
      this.contests.set(key, contest);
    }
    contest.claimants.push(slot);
    this.settle(contest);
  }

  /** Removes the slot's pod from those that claim the address. */
  release(address: AddressWords, slot: number): void {
    const key = address.join();
    const contest = this.contests.get(key);
    if (contest === undefined) {
      this.tableOf(address).delete(address);
      return;
    }
    contest.claimants.splice(contest.claimants.indexOf(slot), 1);
    this.settle(contest);
    if (contest.claimants.length === 1) this.contests.delete(key);
  }

  /**
   * Replaces the slot's record. Returns those of its addresses that other pods claim, too, and that
   * may have another owner now.
   */
  rank(slot: number, claimant: Claimant, addresses: readonly AddressWords[]): readonly AddressWords[] {
    const same = sameClaim(this.claimants[slot] as Claimant, claimant);
    this.claimants[slot] = claimant;
    if (same) return [];
    const contested = addresses.filter((address) => this.contests.has(address.join()));
    for (const address of contested) this.settle(this.contests.get(address.join()) as Contest);
    return contested;
  }

  /** Whether any pod has the address. */
  isClaimed(address: AddressWords): boolean {
    return this.tableOf(address).get(address) !== 0;
  }

  /** Whether the address belongs to the slot, alone or shared. */
  owns(slot: number, address: AddressWords): boolean {
    return this.tableOf(address).get(address) === slot + 1 || this.sharersOf(address).includes(slot);
  }

  /** Returns the slots that share the address; none if it has one owner or no pod has it. */
  sharersOf(address: AddressWords): readonly number[] {
    const contest = this.contests.size === 0 ? undefined : this.contests.get(address.join());
    return contest === undefined || contest.owners.length === 1 ? [] : contest.owners;
  }

  /** Returns the slots that began or stopped sharing an address since the last call. */
  takeResettled(): readonly number[] {
    const slots = [...this.resettled];
    this.resettled.clear();
    return slots;
  }

  /** Returns every address that is shared now. */
  sharedAddresses(): readonly AddressWords[] {
    return this.sharedContests().map(({ address }) => address);
  }

  /** Returns the same in text for people, sorted. */
  shared(): SharedAddress[] {
    return this.sharedContests()
      .map(({ address, owners }) => ({
        address: addressText(address),
        pods: owners.map((slot) => this.names.at(slot) ?? '').sort(),
      }))
      .sort((a, b) => (a.address < b.address ? -1 : 1));
  }

  /** Returns the names of the slots as they are now. */
  snapshotNames(): ArraySnapshot<string> {
    return this.names.snapshot();
  }

  /** Decides whose the address is by the records alone, not by the order in which they came. */
  private settle(contest: Contest): void {
    const { address, claimants, owners: before } = contest;
    const claims = claimants.map((slot) => ({ ...(this.claimants[slot] as Claimant), slot }));
    const owners = ownersAmong(claims)
      .map(({ slot }) => slot)
      .sort((a, b) => a - b);
    contest.owners = owners;
    for (const slot of [...before, ...owners]) this.resettled.add(slot);
    for (let list = contest.list; list > TOO_MANY; ) {
      this.records.giveBack(list);
      list = this.sharers.get(list * SHARER_WORDS + 1);
    }
    contest.list = this.listOf(owners);
    const value = contest.list < 0 ? (owners[0] as number) + 1 : -1 - contest.list;
    this.tableOf(address).set(address, value);
  }

  private listOf(owners: readonly number[]): number {
    if (owners.length === 1) return -1;
    if (owners.length > MOST_SHARERS) return TOO_MANY;
    return owners.reduceRight((next, slot) => this.record(slot, next), -1);
  }

  private sharedContests(): Contest[] {
    return [...this.contests.values()].filter(({ owners }) => owners.length > 1);
  }

  private record(slot: number, next: number): number {
    const number = this.records.take();
    this.sharers.setAll(number * SHARER_WORDS, [slot, next]);
    return number;
  }

  private tableOf(address: AddressWords): WordTable {
    return address.length === 1 ? this.addresses4 : this.addresses6;
  }
}

/**
 * The flows that a change may take an allowance from; no other flow needs a check. It may include
 * too many, never too few. A new pod at an address that no pod had takes nothing from others,
 * unless it is on this node, where policies may isolate it.
 */
import type { AddressWords } from './address-words.ts';

export class Concerned {
  readonly #ipv4 = new Set<number>();
  readonly #ipv6 = new Map<string, AddressWords>();
  /** Identities as numbered by the table that was compiled with these. */
  readonly #identities = new Set<number>();
  #everybody = false;

  /** Returns one that concerns every flow, of any table. */
  static everybody(): Concerned {
    const concerned = new Concerned();
    concerned.#everybody = true;
    return concerned;
  }

  addAddress(address: AddressWords): void {
    if (address.length === 1) this.#ipv4.add(address[0] as number);
    else this.#ipv6.set(address.join(), address);
  }

  addIdentity(identity: number): void {
    this.#identities.add(identity);
  }

  /** Whether it concerns no flow. */
  get isEmpty(): boolean {
    return !this.#everybody && this.#identities.size === 0 && this.#ipv4.size === 0 && this.#ipv6.size === 0;
  }

  /**
   * Returns the concerned addresses; undefined if there are more than `most`, or if identities are
   * concerned.
   */
  addresses(most: number): readonly AddressWords[] | undefined {
    if (this.#everybody || this.#identities.size > 0 || this.#ipv4.size + this.#ipv6.size > most) return undefined;
    return [...Array.from(this.#ipv4, (word) => [word]), ...this.#ipv6.values()];
  }

  /** @param identity of the pod with this address; -1 if there is none */
  includes4(address: number, identity: number): boolean {
    return this.#everybody || this.#ipv4.has(address) || this.#identities.has(identity);
  }

  includes6(a0: number, a1: number, a2: number, a3: number, identity: number): boolean {
    if (this.#everybody || this.#identities.has(identity)) return true;
    return this.#ipv6.size > 0 && this.#ipv6.has(`${a0},${a1},${a2},${a3}`);
  }
}

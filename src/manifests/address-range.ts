/**
 * Addresses for objects that have none yet. An address is derived from the object's name, so it is
 * the same in every run and stays the same when other objects come and go.
 */
import { type Address, addressBits, type Family, formatAddress, isMistake } from '../cluster/addresses.ts';
import { parseTypedCidr } from '../cluster/typed-addresses.ts';

/** An unusable option. The message says what to change. */
export class ManifestOptionError extends Error {
  readonly code = 'ERR_MANIFEST_OPTION';
}

/** A range's first two addresses (network, router) and its last (broadcast) are never assigned. */
const RESERVED_FIRST = 2n;
const RESERVED = 3n;

export class AddressRange {
  readonly family: Family;
  readonly #first: bigint;
  /** Number of assignable addresses. At most 2^32, so that IPv6 addresses stay short. */
  readonly #size: number;
  readonly #taken = new Set<bigint>();

  /** @throws ManifestOptionError if the text is not a CIDR block, or the block is too small */
  constructor(cidr: string) {
    const range = parseTypedCidr(cidr);
    if (isMistake(range)) {
      throw new ManifestOptionError(
        `address range: ${range.message}${range.hint === undefined ? '' : `. ${range.hint}`}`,
      );
    }
    const size = (1n << BigInt(addressBits(range.family) - range.prefix)) - RESERVED;
    if (size < 1n) throw new ManifestOptionError(`address range: ${cidr} is too small; give it a shorter prefix`);
    this.family = range.family;
    this.#first = range.first + RESERVED_FIRST;
    this.#size = Number(size < 1n << 32n ? size : 1n << 32n);
  }

  /** Marks an address as taken. Ignores addresses outside the range. */
  reserve({ family, value }: Address): void {
    if (family === this.family && value >= this.#first && value < this.#first + BigInt(this.#size))
      this.#taken.add(value);
  }

  /**
   * Takes the address of `name`, or the next free one if another name has it. Returns canonical
   * text; undefined if the range is full.
   */
  take(name: string): string | undefined {
    if (this.#taken.size >= this.#size) return undefined;
    let offset = fnv1a(name) % this.#size;
    while (this.#taken.has(this.#first + BigInt(offset))) offset = (offset + 1) % this.#size;
    const value = this.#first + BigInt(offset);
    this.#taken.add(value);
    return formatAddress({ family: this.family, value });
  }
}

/**
 * Returns one range for each family: the given one, or the default.
 * @throws ManifestOptionError
 */
export function rangesFor(
  families: readonly Family[],
  given: readonly string[],
  defaults: Readonly<Record<Family, string>>,
): ReadonlyMap<Family, AddressRange> {
  const ranges = given.map((cidr) => new AddressRange(cidr));
  return new Map(
    families.map((family) => [
      family,
      ranges.find((range) => range.family === family) ?? new AddressRange(defaults[family]),
    ]),
  );
}

/**
 * Returns the FNV-1a hash (32 bits, unsigned) of the text's UTF-16 code units
 * (http://www.isthe.com/chongo/tech/comp/fnv/).
 */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

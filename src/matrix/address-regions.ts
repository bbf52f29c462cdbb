/**
 * The regions of the address space that ipBlocks tell apart. No policy can distinguish two
 * addresses that the same blocks (`cidr` and `except`) contain, unless they are addresses of pods,
 * which selectors match as well.
 */
import {
  type Address,
  addressBits,
  type Cidr,
  type Family,
  formatAddress,
  isMistake,
  parseAddress,
  parseCidr,
} from '../cluster/addresses.ts';
import type { PolicyRecord } from '../cluster/records.ts';

/** Addresses that the same blocks contain. */
export interface Region {
  /**
   * The smallest of these blocks, in canonical text; undefined if no block but a whole family
   * contains them.
   */
  readonly innermost: string | undefined;
  /** One of the addresses, in canonical text. */
  readonly address: string;
}

/**
 * Addresses for documentation (RFC 5737, RFC 3849): no reader takes them for their own network's.
 */
const PREFERRED: Readonly<Record<Family, readonly string[]>> = {
  IPv4: ['192.0.2.1', '198.51.100.1', '203.0.113.1'],
  IPv6: ['2001:db8::1'],
};

export class AddressRegions {
  /** The first addresses of all blocks, by family and prefix length. */
  readonly #blocks: Readonly<Record<Family, Map<number, Set<bigint>>>> = { IPv4: new Map(), IPv6: new Map() };

  constructor(policies: Iterable<PolicyRecord>) {
    for (const cidr of cidrsOf(policies)) {
      const ofLength = this.#blocks[cidr.family].get(cidr.prefix) ?? new Set();
      this.#blocks[cidr.family].set(cidr.prefix, ofLength.add(cidr.first));
    }
  }

  /**
   * Returns a text that is equal for addresses of the same region, and valid for these regions
   * only.
   */
  key(address: Address): string {
    return `${address.family}${this.#holding(address).join(' ')}`;
  }

  /** Returns all blocks but those of a whole family. */
  blocks(): Cidr[] {
    return Object.entries(this.#blocks).flatMap(([family, lengths]) =>
      [...lengths].flatMap(([prefix, firsts]) =>
        prefix === 0 ? [] : [...firsts].map((first) => ({ family: family as Family, prefix, first })),
      ),
    );
  }

  /**
   * Returns one address of each region inside `area`, none of them in `taken` (canonical texts).
   * Trying these tells what any address of the area can do.
   */
  regionsIn(area: Cidr, taken: ReadonlySet<string>): Region[] {
    const { family } = area;
    const end = lastOf(area) + 1n;
    const inside = this.blocks().filter((block) => block.family === family && isWithin(block.first, area));
    // Between two neighbouring bounds no block begins or ends.
    const bounds = [area.first, ...inside.flatMap((block) => [block.first, lastOf(block) + 1n])];
    const sorted = [...new Set(bounds)].filter((bound) => bound < end).sort((a, b) => (a < b ? -1 : 1));
    const regions = new Map<string, Region>();
    for (const value of PREFERRED[family].flatMap((text) => parseAddress(text)?.value ?? [])) {
      if (isWithin(value, area)) this.#add(regions, { family, value }, taken);
    }
    for (const [i, first] of sorted.entries()) {
      const next = sorted[i + 1] ?? end;
      const address = freeAddress(family, first, next, taken);
      if (address !== undefined) this.#add(regions, address, taken);
    }
    return [...regions.values()];
  }

  #add(regions: Map<string, Region>, address: Address, taken: ReadonlySet<string>): void {
    const text = formatAddress(address);
    const key = this.key(address);
    if (taken.has(text) || regions.has(key)) return;
    const innermost = this.#holding(address).at(-1);
    regions.set(key, { innermost: innermost?.endsWith('/0') ? undefined : innermost, address: text });
  }

  /** Returns the blocks that contain the address, in canonical text, the shortest prefix first. */
  #holding({ family, value }: Address): string[] {
    const bits = addressBits(family);
    const found: string[] = [];
    for (const prefix of [...this.#blocks[family].keys()].sort((a, b) => a - b)) {
      const hostBits = BigInt(bits - prefix);
      const first = (value >> hostBits) << hostBits;
      if (this.#blocks[family].get(prefix)?.has(first))
        found.push(`${formatAddress({ family, value: first })}/${prefix}`);
    }
    return found;
  }
}

/** Returns the whole address space of a family. */
export function wholeFamily(family: Family): Cidr {
  return { family, first: 0n, prefix: 0 };
}

function* cidrsOf(policies: Iterable<PolicyRecord>): Generator<Cidr> {
  for (const { ingress, egress } of policies) {
    for (const { ipBlock } of [...ingress, ...egress].flatMap(({ peers }) => peers)) {
      for (const text of ipBlock === undefined ? [] : [ipBlock.cidr, ...ipBlock.except]) {
        const cidr = parseCidr(text);
        if (!isMistake(cidr)) yield cidr;
      }
    }
  }
}

function lastOf({ family, first, prefix }: Cidr): bigint {
  return first + (1n << BigInt(addressBits(family) - prefix)) - 1n;
}

/** Whether an area contains an address of its own family. */
export function isWithin(value: bigint, area: Cidr): boolean {
  return value >= area.first && value <= lastOf(area);
}

/**
 * Returns an address in [first, end) that is not taken. It is the first only if there is no other,
 * because the first often names the network.
 */
function freeAddress(family: Family, first: bigint, end: bigint, taken: ReadonlySet<string>): Address | undefined {
  for (let value = first + 1n; value < end; value++) {
    if (!taken.has(formatAddress({ family, value }))) return { family, value };
  }
  return taken.has(formatAddress({ family, value: first })) ? undefined : { family, value: first };
}

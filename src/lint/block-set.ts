/**
 * A set of blocks, reduced to the widest ones. A binary search finds the one that contains a block.
 */
import { addressBits, type Cidr, type Family, isStrictlyInside } from '../cluster/addresses.ts';

export class BlockSet {
  /** The blocks that are inside no other one, by family, ascending. */
  readonly #widest: Readonly<Record<Family, readonly Cidr[]>>;

  constructor(blocks: readonly Cidr[]) {
    this.#widest = { IPv4: widestOf(blocks, 'IPv4'), IPv6: widestOf(blocks, 'IPv6') };
  }

  /** Returns the block that contains all of `part`; undefined if no single one does. */
  holderOf(part: Cidr): Cidr | undefined {
    const blocks = this.#widest[part.family];
    let low = 0;
    let high = blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((blocks[middle] as Cidr).first <= part.first) low = middle + 1;
      else high = middle;
    }
    const before = blocks[low - 1];
    return before !== undefined && isInside(part, before) ? before : undefined;
  }
}

/** Whether `inner` is inside `outer`, or equal to it. */
export function isInside(inner: Cidr, outer: Cidr): boolean {
  return (
    isStrictlyInside(inner, outer) ||
    (inner.family === outer.family && inner.prefix === outer.prefix && inner.first === outer.first)
  );
}

export function lastOf({ family, first, prefix }: Cidr): bigint {
  return first + (1n << BigInt(addressBits(family) - prefix)) - 1n;
}

/** Orders blocks by address, each one right before those inside it. */
export function byAddress(a: Cidr, b: Cidr): number {
  return a.first < b.first ? -1 : a.first > b.first ? 1 : a.prefix - b.prefix;
}

function widestOf(blocks: readonly Cidr[], family: Family): readonly Cidr[] {
  const widest: Cidr[] = [];
  for (const block of blocks.filter((each) => each.family === family).sort(byAddress)) {
    const before = widest.at(-1);
    if (before === undefined || lastOf(before) < block.first) widest.push(block);
  }
  return widest;
}

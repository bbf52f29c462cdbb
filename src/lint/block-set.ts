/** Blocks of which only the widest count: whether one of them holds an address or a block, in a binary search. */
import { addressBits, type Cidr, type Family, isStrictlyInside } from '../cluster/addresses.ts';

export class BlockSet {
  /** By family; those that lie in no other, ascending. */
  readonly #widest: Readonly<Record<Family, readonly Cidr[]>>;

  constructor(blocks: readonly Cidr[]) {
    this.#widest = { IPv4: widestOf(blocks, 'IPv4'), IPv6: widestOf(blocks, 'IPv6') };
  }

  /** The block that holds all of `part`; undefined where no single one does. */
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

/** Whether `inner` lies in `outer`, or is the same. */
export function isInside(inner: Cidr, outer: Cidr): boolean {
  return (
    isStrictlyInside(inner, outer) ||
    (inner.family === outer.family && inner.prefix === outer.prefix && inner.first === outer.first)
  );
}

export function lastOf({ family, first, prefix }: Cidr): bigint {
  return first + (1n << BigInt(addressBits(family) - prefix)) - 1n;
}

/** A block comes right before those that lie in it. */
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

/** The addresses that a cluster's nodes give to pods, as ranges that do not touch. */
import { addressBits, type Family, formatAddress, isMistake, parseCidr } from '../../cluster/addresses.ts';

/**
 * Ranges of each family, sorted, each as its first and last address: `10.244.0.0-10.244.3.255`. nft
 * reads and lists ranges in several ways; these are always written the same way, so they compare as
 * text.
 */
export interface PodRanges {
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
}

/** @param blocks CIDR blocks; what is none is left out */
export function podRanges(blocks: Iterable<string>): PodRanges {
  const byFamily: Record<Family, [bigint, bigint][]> = { IPv4: [], IPv6: [] };
  for (const block of blocks) {
    const cidr = parseCidr(block);
    if (isMistake(cidr)) continue;
    const size = 1n << BigInt(addressBits(cidr.family) - cidr.prefix);
    byFamily[cidr.family].push([cidr.first, cidr.first + size - 1n]);
  }
  return { ipv4: joined('IPv4', byFamily.IPv4), ipv6: joined('IPv6', byFamily.IPv6) };
}

function joined(family: Family, ranges: [bigint, bigint][]): string[] {
  const sorted = ranges.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const wide: [bigint, bigint][] = [];
  for (const [first, last] of sorted) {
    const before = wide.at(-1);
    if (before === undefined || first > before[1] + 1n) wide.push([first, last]);
    else if (last > before[1]) before[1] = last;
  }
  const text = (value: bigint) => formatAddress({ family, value });
  return wide.map(([first, last]) => `${text(first)}-${text(last)}`);
}

/**
 * IP addresses as the packet path sees them: int32 words in host order of the big-endian bytes, one
 * for IPv4, four for IPv6.
 */
import { formatAddress, isMistake, parseAddress, parseCidr } from '../cluster/addresses.ts';
import type { IpBlock } from '../cluster/records.ts';

/** One word or four; the length tells the family. */
export type AddressWords = readonly number[];

export interface Prefix {
  /** The first address: host bits are 0. */
  readonly address: AddressWords;
  /** 0 to 32, or 0 to 128. */
  readonly length: number;
}

/**
 * Returns the words of an address in any of its spellings; undefined if the text is not an address.
 * An IPv4-mapped address is the IPv4 address.
 */
export function addressWords(text: string): AddressWords | undefined {
  return plainIpv4(text) ?? anyAddress(text);
}

/** Returns the canonical text of an address. */
export function addressText(address: AddressWords): string {
  const [word = 0] = address;
  if (address.length === 1) return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  return formatAddress({
    family: 'IPv6',
    value: address.reduce((value, each) => (value << 32n) | BigInt(each >>> 0), 0n),
  });
}

/** Returns the words of a CIDR block; undefined if the text is not one. */
export function prefixWords(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const plain = slash < 0 ? undefined : plainIpv4(text.slice(0, slash));
  const length = Number(text.slice(slash + 1));
  // Only plain numbers: `08`, `+8` and masks are left to `parseCidr`.
  if (
    plain !== undefined &&
    Number.isInteger(length) &&
    length >= 0 &&
    length <= 32 &&
    text.slice(slash + 1) === String(length)
  ) {
    const [word = 0] = plain;
    return { address: [length === 0 ? 0 : word & (-1 << (32 - length))], length };
  }
  const cidr = parseCidr(text);
  if (isMistake(cidr)) return undefined;
  return { address: integerWords(cidr.first, cidr.family === 'IPv4' ? 1 : 4), length: cidr.prefix };
}

/**
 * Returns the prefixes of an ipBlock; undefined if one of its texts is not a CIDR block. Records
 * are validated; if this one was not, allowing nothing is the safe reading.
 */
export function blockPrefixes({
  cidr,
  except,
}: IpBlock): { readonly cidr: Prefix; readonly except: readonly Prefix[] } | undefined {
  const whole = prefixWords(cidr);
  const holes = except.map(prefixWords);
  if (whole === undefined || !holes.every((hole): hole is Prefix => hole !== undefined)) return undefined;
  return { cidr: whole, except: holes };
}

const DOT = 0x2e;
const ZERO = 0x30;

/**
 * Parses dotted decimal as most people write it; undefined for anything else, which may still be an
 * address. A large cluster has a hundred thousand such addresses, and this takes a tenth of the
 * time of the general way.
 */
function plainIpv4(text: string): AddressWords | undefined {
  let word = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const digit = code - ZERO;
    if (digit >= 0 && digit <= 9) {
      // Some read a leading zero as octal, others as decimal.
      if (octet === 0) return undefined;
      octet = octet < 0 ? digit : 10 * octet + digit;
      if (octet > 255) return undefined;
    } else if (code === DOT && octet >= 0) {
      word = (word << 8) | octet;
      octet = -1;
      dots++;
    } else {
      return undefined;
    }
  }
  return dots === 3 && octet >= 0 ? [(word << 8) | octet] : undefined;
}

function anyAddress(text: string): AddressWords | undefined {
  const address = parseAddress(text);
  return address === undefined ? undefined : integerWords(address.value, address.family === 'IPv4' ? 1 : 4);
}

function integerWords(value: bigint, count: number): AddressWords {
  const words: number[] = [];
  for (let i = count - 1; i >= 0; i--) words.push(Number(BigInt.asIntN(32, value >> BigInt(32 * i))));
  return words;
}

/**
 * Reads IP addresses and CIDR blocks as the API server does (ParseIPSloppy and ParseCIDRSloppy of
 * https://github.com/kubernetes/utils/blob/master/net/parse.go). Numbers may have leading zeros and
 * stay decimal: `10.0.0.010` is 10.0.0.10. `10.1` and `0x0a.0.0.1` are not addresses, though many
 * parsers accept them. typed-addresses.ts reads what a person types, and refuses leading zeros.
 */
import ipaddr from 'ipaddr.js';

export type Family = 'IPv4' | 'IPv6';

/** An address as a family and an unsigned integer. */
export interface Address {
  readonly family: Family;
  /** The address as an unsigned integer, the first byte the most significant. */
  readonly value: bigint;
}

export interface Cidr {
  readonly family: Family;
  /** The first address of the block: host bits are cleared. */
  readonly first: bigint;
  /** Prefix length: 0 to 32, or 0 to 128. */
  readonly prefix: number;
}

/** What is wrong with a text, and what was probably meant (a whole sentence). */
export interface Mistake {
  readonly message: string;
  readonly hint?: string;
}

/** Bits of an address. */
export function addressBits(family: Family): 32 | 128 {
  return family === 'IPv4' ? 32 : 128;
}

/** The family of an address in canonical text. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/**
 * Parses an address; undefined if the text is not one. A zone is not allowed in IPv6. An
 * IPv4-mapped IPv6 address becomes the IPv4 address.
 */
export function parseAddress(text: string): Address | undefined {
  const address = parseUnmapped(text);
  return address !== undefined && isMapped(address) ? { family: 'IPv4', value: address.value & 0xffff_ffffn } : address;
}

/** Formats an address: dotted decimal, or RFC 5952. */
export function formatAddress({ family, value }: Address): string {
  const bytes: number[] = [];
  for (let shift = addressBits(family) - 8; shift >= 0; shift -= 8)
    bytes.push(Number((value >> BigInt(shift)) & 0xffn));
  const address = ipaddr.fromByteArray(bytes);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

/**
 * Returns the text that all spellings of an address share: `fd00::1` for `FD00::0:1`; undefined if
 * the text is not an address.
 */
export function canonicalAddress(text: string): string | undefined {
  const address = parseAddress(text);
  return address === undefined ? undefined : formatAddress(address);
}

/**
 * Parses a block such as `10.0.0.0/8`, or returns what is wrong with it. Host bits are cleared. An
 * IPv4-mapped IPv6 block becomes the IPv4 block, as in Go's IPNet; with less than 96 bits it stays
 * an IPv6 block, which contains no IPv4.
 */
export function parseCidr(text: string): Cidr | Mistake {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const address = parseUnmapped(host);
  if (address === undefined) return notAnAddress(text, host, slash);
  const bits = addressBits(address.family);
  if (slash < 0) return { message: `${text} has no prefix length`, hint: `Did you mean ${host}/${bits}?` };
  const suffix = text.slice(slash + 1);
  const prefix = /^0*\d{1,3}$/.test(suffix) ? Number(suffix) : -1;
  if (prefix < 0 || prefix > bits) {
    return {
      message: `${text} has no valid prefix length; those of ${address.family} are 0 to ${bits}`,
      hint: `Did you mean ${host}/${meantPrefix(address, suffix)}?`,
    };
  }
  const first = clearHostBits(address.value, bits, prefix);
  const isIpv4 = isMapped(address) && prefix >= MAPPED_BITS;
  return isIpv4
    ? { family: 'IPv4', first: first & 0xffff_ffffn, prefix: prefix - MAPPED_BITS }
    : { family: address.family, first, prefix };
}

/** Returns the text that all spellings of a block share: `10.0.0.0/8` for `10.1.2.3/08`. */
export function formatCidr({ family, first, prefix }: Cidr): string {
  return `${formatAddress({ family, value: first })}/${prefix}`;
}

export function isMistake(outcome: Cidr | Mistake): outcome is Mistake {
  return 'message' in outcome;
}

/** Whether `inner` lies in `outer` and is smaller. */
export function isStrictlyInside(inner: Cidr, outer: Cidr): boolean {
  if (inner.family !== outer.family || inner.prefix <= outer.prefix) return false;
  return clearHostBits(inner.first, addressBits(outer.family), outer.prefix) === outer.first;
}

const DOTTED_DECIMAL = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Bits before the IPv4 address in an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2). */
const MAPPED_BITS = 96;

function isMapped({ family, value }: Address): boolean {
  return family === 'IPv6' && value >> 32n === 0xffffn;
}

/** Leading zeros of a number, whose last digit stays. */
const LEADING_ZEROS = /(?<![\dA-Fa-f])0+(?=[\dA-Fa-f])/g;

function parseUnmapped(spelt: string): Address | undefined {
  const text = spelt.replace(LEADING_ZEROS, '');
  if (DOTTED_DECIMAL.test(text)) return { family: 'IPv4', value: dottedInteger(text) };
  const groups = withoutDots(text);
  if (groups === undefined || !/^[\dA-Fa-f:]+$/.test(groups) || !ipaddr.IPv6.isValid(groups)) return undefined;
  return { family: 'IPv6', value: toInteger(ipaddr.IPv6.parse(groups).toByteArray()) };
}

/**
 * Writes the last 32 bits of an IPv6 address as groups, because ipaddr.js reads `::10.0.0.1` as
 * `::ffff:10.0.0.1`.
 */
function withoutDots(text: string): string | undefined {
  if (!text.includes('.')) return text;
  const from = text.lastIndexOf(':') + 1;
  const dotted = text.slice(from);
  if (from === 0 || !DOTTED_DECIMAL.test(dotted)) return undefined;
  const value = dottedInteger(dotted);
  return `${text.slice(0, from)}${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
}

function dottedInteger(text: string): bigint {
  return toInteger(ipaddr.IPv4.parse(text).toByteArray());
}

function toInteger(bytes: readonly number[]): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function clearHostBits(value: bigint, bits: number, prefix: number): bigint {
  const hostBits = BigInt(bits - prefix);
  return (value >> hostBits) << hostBits;
}

function notAnAddress(text: string, host: string, slash: number): Mistake {
  const message = `${text} is not a CIDR block such as 10.0.0.0/8 or fd00::/8`;
  if (!/^\d+(\.\d+){0,3}$/.test(host)) return { message };
  // Missing octets become 0.
  const octets = host.split('.').map(Number);
  while (octets.length < 4) octets.push(0);
  if (octets.some((octet) => octet > 255)) return { message };
  const meant = `${octets.join('.')}${slash < 0 ? '/32' : text.slice(slash)}`;
  return isMistake(parseCidr(meant)) ? { message } : { message, hint: `Did you mean ${meant}?` };
}

/**
 * Returns the prefix length that the address suggests: where its trailing zero octets (or IPv6
 * groups) begin, or the length of a mask in `suffix`.
 */
function meantPrefix({ family, value }: Address, suffix: string): number {
  if (family === 'IPv4' && DOTTED_DECIMAL.test(suffix)) {
    const length = ipaddr.IPv4.parse(suffix).prefixLengthFromSubnetMask();
    if (length !== null) return length;
  }
  const bits = addressBits(family);
  const step = family === 'IPv4' ? 8 : 16;
  let prefix = bits;
  while (prefix > 0 && (value >> BigInt(bits - prefix)) % (1n << BigInt(step)) === 0n) prefix -= step;
  return prefix;
}

/**
 * IP addresses and CIDR blocks in text, read as strictly as the API server reads them: `10.1`, `0x0a.0.0.1` and `010.0.0.1`
 * are no addresses, though many parsers take them. An address is a family and an unsigned integer.
 */
import ipaddr from 'ipaddr.js';

export type Family = 'IPv4' | 'IPv6';

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

/** Why a text is not what it should be, and what was probably meant (a whole sentence). */
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

/** The address of a text, or undefined. IPv6 may not have a zone; an IPv4-mapped IPv6 address is the IPv4 address. */
export function parseAddress(text: string): Address | undefined {
  const address = parseUnmapped(text);
  if (address === undefined || address.family === 'IPv4') return address;
  return address.value >> 32n === 0xffffn ? { family: 'IPv4', value: address.value & 0xffff_ffffn } : address;
}

/** The text of an address: dotted decimal, or RFC 5952. */
export function formatAddress({ family, value }: Address): string {
  const bytes: number[] = [];
  for (let shift = addressBits(family) - 8; shift >= 0; shift -= 8)
    bytes.push(Number((value >> BigInt(shift)) & 0xffn));
  const address = ipaddr.fromByteArray(bytes);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

/** The one text that all spellings of an address share (`FD00::0:1` and `fd00::1`), or undefined where it is none. */
export function canonicalAddress(text: string): string | undefined {
  const address = parseAddress(text);
  return address === undefined ? undefined : formatAddress(address);
}

/** The block of a text such as `10.0.0.0/8`, or what is wrong with it. Host bits may be set, and are cleared. */
export function parseCidr(text: string): Cidr | Mistake {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const address = parseUnmapped(host);
  if (address === undefined) return notAnAddress(text, host, slash);
  const bits = addressBits(address.family);
  if (slash < 0) return { message: `${text} has no prefix length`, hint: `Did you mean ${host}/${bits}?` };
  if (address.family === 'IPv6' && address.value >> 32n === 0xffffn) {
    return { message: `${text} is an IPv4-mapped block`, hint: 'Write the IPv4 block itself.' };
  }
  const suffix = text.slice(slash + 1);
  const prefix = /^(0|[1-9]\d{0,2})$/.test(suffix) ? Number(suffix) : -1;
  if (prefix < 0 || prefix > bits) {
    return {
      message: `${text} has no valid prefix length; those of ${address.family} are 0 to ${bits}`,
      hint: `Did you mean ${host}/${meantPrefix(address, suffix)}?`,
    };
  }
  return { family: address.family, first: clearHostBits(address.value, bits, prefix), prefix };
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

function parseUnmapped(text: string): Address | undefined {
  if (DOTTED_DECIMAL.test(text)) return { family: 'IPv4', value: toInteger(ipaddr.IPv4.parse(text).toByteArray()) };
  if (!/^[0-9A-Fa-f:]+(?:[\d.]*)$/.test(text) || !ipaddr.IPv6.isValid(text)) return undefined;
  // ipaddr.js reads the embedded IPv4 address of ::ffff:010.0.0.1 as octal.
  if (text.includes('.') && !DOTTED_DECIMAL.test(text.slice(text.lastIndexOf(':') + 1))) return undefined;
  return { family: 'IPv6', value: toInteger(ipaddr.IPv6.parse(text).toByteArray()) };
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
  // Missing octets, or octets with leading zeros.
  const octets = host.split('.').map(Number);
  while (octets.length < 4) octets.push(0);
  if (octets.some((octet) => octet > 255)) return { message };
  const meant = `${octets.join('.')}${slash < 0 ? '/32' : text.slice(slash)}`;
  return isMistake(parseCidr(meant)) ? { message } : { message, hint: `Did you mean ${meant}?` };
}

/**
 * The prefix length that the address itself suggests: where its trailing zero octets (or IPv6 groups) begin; or the mask's
 * own.
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

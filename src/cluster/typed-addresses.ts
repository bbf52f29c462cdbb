/**
 * Addresses and blocks that a person types, on the command line or in a file of assertions. A leading zero is refused there:
 * it is decimal to the API server, and octal to ping, iptables and many others, and whoever typed it can be asked.
 */
import {
  type Address,
  type Cidr,
  formatAddress,
  isMistake,
  type Mistake,
  parseAddress,
  parseCidr,
} from './addresses.ts';

/** A leading zero of an IPv4 octet or of a prefix length. Groups of IPv6 often have some, and nobody reads those as octal. */
const LEADING_ZERO = /(?:^|[.:])0\d+(?=\.)|\.0\d+(?=\/|$)|\/0\d/;

/** The address of a text, or undefined, also where it has leading zeros. */
export function parseTypedAddress(text: string): Address | undefined {
  return LEADING_ZERO.test(text) ? undefined : parseAddress(text);
}

/** The canonical text of an address, or undefined, also where it has leading zeros. */
export function canonicalTypedAddress(text: string): string | undefined {
  const address = parseTypedAddress(text);
  return address === undefined ? undefined : formatAddress(address);
}

/** The block of a text, or what is wrong with it, leading zeros too. */
export function parseTypedCidr(text: string): Cidr | Mistake {
  const cidr = parseCidr(text);
  if (isMistake(cidr) || !LEADING_ZERO.test(text)) return cidr;
  const meant = text.replaceAll(/(?<![\da-f])0+(?=[\da-f])/gi, '');
  return { message: `${text} has leading zeros, which are octal to some tools`, hint: `Did you mean ${meant}?` };
}

/** Whether tools disagree on what the text means: it has leading zeros. */
export function isAmbiguous(text: string): boolean {
  return LEADING_ZERO.test(text);
}

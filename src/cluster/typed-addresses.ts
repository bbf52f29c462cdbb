/**
 * Addresses and blocks that a person types, on the command line or in a file of assertions. Leading
 * zeros are refused: the API server reads them as decimal, ping, iptables and many others as octal,
 * and the person can be asked.
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

/**
 * A leading zero of an IPv4 octet or of a prefix length. IPv6 groups often have some, and nothing
 * reads those as octal.
 */
const LEADING_ZERO = /(?:^|[.:])0\d+(?=\.)|\.0\d+(?=\/|$)|\/0\d/;

/** Returns the address; undefined if the text is not an address or has leading zeros. */
export function parseTypedAddress(text: string): Address | undefined {
  return LEADING_ZERO.test(text) ? undefined : parseAddress(text);
}

/**
 * Returns the canonical text of an address; undefined if the text is not one or has leading zeros.
 */
export function canonicalTypedAddress(text: string): string | undefined {
  const address = parseTypedAddress(text);
  return address === undefined ? undefined : formatAddress(address);
}

/** Returns the block, or what is wrong with the text; leading zeros are wrong, too. */
export function parseTypedCidr(text: string): Cidr | Mistake {
  const cidr = parseCidr(text);
  if (isMistake(cidr) || !LEADING_ZERO.test(text)) return cidr;
  const meant = text.replaceAll(/(?<![\da-f])0+(?=[\da-f])/gi, '');
  return { message: `${text} has leading zeros, which some tools read as octal`, hint: `Did you mean ${meant}?` };
}

/** Whether the text has leading zeros, which tools read differently. */
export function isAmbiguous(text: string): boolean {
  return LEADING_ZERO.test(text);
}

/**
 * A second reader of a packet's headers, slow and as close to the RFCs as possible. It shares no
 * code with src/packet, so that both are unlikely to be wrong in the same way.
 */

export interface Flow {
  readonly protocol: number;
  /** In hex. */
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmpType: number;
}

export interface Headers extends Flow {
  readonly family: 4 | 6;
  readonly hopLimit: number;
  readonly tcpFlags: number;
  readonly icmpCode: number;
  readonly sctpChunk: number;
  readonly isFragment: boolean;
  readonly isLaterFragment: boolean;
  readonly quoted: Flow | undefined;
}

/** The part after the IP headers. */
interface Inside {
  readonly family: 4 | 6;
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number;
  readonly isFragment: boolean;
  readonly isLaterFragment: boolean;
  /** The bytes of that part that were captured. */
  readonly rest: readonly number[];
  /** Its length before it was cut. */
  readonly length: number;
}

const NONE = { sourcePort: -1, destinationPort: -1, icmpType: -1, icmpCode: -1, tcpFlags: 0, sctpChunk: -1 };
const PORTS = [6, 17, 132];
/** ICMP types with an identifier: RFC 792 and RFC 950, RFC 4443. */
const QUERIES = { 4: [0, 8, 13, 14, 15, 16, 17, 18], 6: [128, 129] };
const ERRORS = { 4: [3, 11, 12], 6: [1, 2, 3, 4] };
const ICMP = { 4: 1, 6: 58 };

/**
 * Returns the headers of a packet of `total` bytes, of which `bytes` are the first; undefined if it
 * is malformed.
 */
export function readPacket(bytes: readonly number[], total: number): Headers | undefined {
  if (bytes.length < 20) return undefined;
  const version = (bytes[0] as number) >> 4;
  const inside = version === 4 ? readIpv4(bytes, total) : version === 6 ? readIpv6(bytes, total) : undefined;
  return inside && readTransport(inside);
}

function readIpv4(bytes: readonly number[], total: number): Inside | undefined {
  const header = (byte(bytes, 0) % 16) * 4;
  // BIG TCP: with a length of 0 the real length counts.
  const length = short(bytes, 2) === 0 ? total : short(bytes, 2);
  if (header < 20 || length > total || header > length || header > bytes.length) return undefined;
  const position = short(bytes, 6) & 0x1fff;
  return {
    family: 4,
    protocol: byte(bytes, 9),
    source: hex(bytes.slice(12, 16)),
    destination: hex(bytes.slice(16, 20)),
    hopLimit: byte(bytes, 8),
    isFragment: position > 0 || (short(bytes, 6) & 0x2000) !== 0,
    isLaterFragment: position > 0,
    rest: bytes.slice(header, length),
    length: length - header,
  };
}

function readIpv6(bytes: readonly number[], total: number): Inside | undefined {
  if (bytes.length < 40) return undefined;
  const end = short(bytes, 4) === 0 ? total : 40 + short(bytes, 4);
  if (end > total || end < 40) return undefined;
  const chain = readChain(bytes.slice(0, end));
  if (chain === undefined || (!chain.isLaterFragment && chain.at > end)) return undefined;
  return {
    ...{ family: 6, protocol: chain.next, source: hex(bytes.slice(8, 24)), destination: hex(bytes.slice(24, 40)) },
    ...{ hopLimit: byte(bytes, 7), isFragment: chain.isFragment, isLaterFragment: chain.isLaterFragment },
    rest: bytes.slice(chain.at, end),
    length: end - chain.at,
  };
}

/** RFC 8200 section 4. */
function readChain(bytes: readonly number[]) {
  let next = byte(bytes, 6);
  let at = 40;
  let isFragment = false;
  while ([0, 43, 44, 51, 60].includes(next)) {
    if (bytes.length < at + 8) return undefined;
    // Hop-by-hop options come first or not at all; fragments of fragments do not exist.
    if (next === 0 && at > 40) return undefined;
    const kind = next;
    next = byte(bytes, at);
    if (kind === 44) {
      if (isFragment) return undefined;
      const position = short(bytes, at + 2) >> 3;
      isFragment = position > 0 || byte(bytes, at + 3) % 2 === 1;
      at += 8;
      if (position > 0) return { next, at, isFragment, isLaterFragment: true };
    } else {
      // RFC 4302: in units of 4 bytes, minus 2. All other headers: in units of 8, minus 1.
      at += kind === 51 ? (byte(bytes, at + 1) + 2) * 4 : (byte(bytes, at + 1) + 1) * 8;
    }
  }
  return { next, at, isFragment, isLaterFragment: false };
}

function readTransport(inside: Inside): Headers | undefined {
  const { rest, length, ...ip } = inside;
  const whole: Headers = { ...ip, ...NONE, quoted: undefined };
  const { protocol, family, isFragment } = ip;
  if (ip.isLaterFragment) return whole;
  const ports = { sourcePort: short(rest, 0), destinationPort: short(rest, 2) };
  if (protocol === 6) {
    const header = (byte(rest, 12) >> 4) * 4;
    if (rest.length < 20 || header < 20 || (!isFragment && header > length)) return undefined;
    return { ...whole, ...ports, tcpFlags: byte(rest, 13) };
  }
  if (protocol === 17) {
    const said = short(rest, 4);
    if (rest.length < 8 || (!isFragment && said > length)) return undefined;
    return said >= 8 || (said === 0 && length > 65_535) ? { ...whole, ...ports } : undefined;
  }
  if (protocol === 132) {
    if (rest.length < 16 || short(rest, 14) < 4) return undefined;
    return { ...whole, ...ports, sctpChunk: byte(rest, 12) };
  }
  if (protocol !== ICMP[family]) return whole;
  if (rest.length < 8) return undefined;
  const icmp = { ...whole, icmpType: byte(rest, 0), icmpCode: byte(rest, 1) };
  const id = short(rest, 4);
  if (QUERIES[family].includes(icmp.icmpType)) return { ...icmp, sourcePort: id, destinationPort: id };
  return ERRORS[family].includes(icmp.icmpType) ? { ...icmp, quoted: readQuoted(rest.slice(8), family) } : icmp;
}

/**
 * Returns what an ICMP error quotes, if it identifies a flow: by the first 8 bytes after its
 * headers.
 */
function readQuoted(bytes: readonly number[], family: 4 | 6): Flow | undefined {
  const at = family === 4 ? (byte(bytes, 0) % 16) * 4 : 40;
  if (bytes.length < at || at < 20 || byte(bytes, 0) >> 4 !== family) return undefined;
  const chain =
    family === 6 ? readChain(bytes) : { next: byte(bytes, 9), at, isLaterFragment: (short(bytes, 6) & 0x1fff) !== 0 };
  if (chain === undefined || chain.isLaterFragment || bytes.length < chain.at + 8) return undefined;
  const [source, destination] =
    family === 4 ? [bytes.slice(12, 16), bytes.slice(16, 20)] : [bytes.slice(8, 24), bytes.slice(24, 40)];
  const flow = { protocol: chain.next, source: hex(source), destination: hex(destination) };
  const rest = bytes.slice(chain.at);
  if (PORTS.includes(chain.next))
    return { ...flow, sourcePort: short(rest, 0), destinationPort: short(rest, 2), icmpType: -1 };
  if (chain.next !== ICMP[family]) return { ...flow, sourcePort: -1, destinationPort: -1, icmpType: -1 };
  const id = short(rest, 4);
  const icmpType = byte(rest, 0);
  return QUERIES[family].includes(icmpType) ? { ...flow, sourcePort: id, destinationPort: id, icmpType } : undefined;
}

/** Returns 0 past the end: lengths are checked separately. */
function byte(bytes: readonly number[], at: number): number {
  return bytes[at] ?? 0;
}

function short(bytes: readonly number[], at: number): number {
  return byte(bytes, at) * 256 + byte(bytes, at + 1);
}

function hex(bytes: readonly number[]): string {
  return bytes.map((each) => each.toString(16).padStart(2, '0')).join('');
}

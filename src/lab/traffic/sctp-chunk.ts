/**
 * The first two packets of an SCTP association (RFC 9260): INIT and INIT ACK, one chunk per packet.
 * They suffice to see whether an association could be opened, and need no SCTP in the kernel.
 *
 *      0 source port u16 | 2 destination port u16 | 4 verification tag u32 | 8 CRC32c u32, little-endian
 *     12 chunk type u8   | 13 flags u8            | 14 chunk length u16
 *     16 initiate tag u32 | 20 receiver window u32 | 24 outbound streams u16 | 26 inbound streams u16 | 28 initial TSN u32
 *     32 parameters: type u16, length u16 (with these four bytes), value, padded to four bytes
 */
export const INIT = 1;
export const INIT_ACK = 2;

const COMMON_HEADER = 12;
const FIXED_LENGTH = 32;
const STATE_COOKIE = 7;
const WINDOW = 65_536;

export interface SctpPacket {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** 0 in an INIT; the receiver's initiate tag in everything else. */
  readonly verificationTag: number;
  readonly chunk: typeof INIT | typeof INIT_ACK;
  /** Not 0. */
  readonly initiateTag: number;
  /** Of an INIT ACK: opaque to the receiver. Empty in an INIT. */
  readonly cookie: string;
}

export function encodeSctp(packet: SctpPacket): Uint8Array {
  const cookie = new TextEncoder().encode(packet.cookie);
  const parameter = packet.chunk === INIT_ACK ? 4 + cookie.length : 0;
  const bytes = new Uint8Array(FIXED_LENGTH + ((parameter + 3) & ~3));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, packet.sourcePort);
  view.setUint16(2, packet.destinationPort);
  view.setUint32(4, packet.verificationTag);
  view.setUint8(12, packet.chunk);
  view.setUint16(14, FIXED_LENGTH - COMMON_HEADER + parameter);
  view.setUint32(16, packet.initiateTag);
  view.setUint32(20, WINDOW);
  view.setUint16(24, 1);
  view.setUint16(26, 1);
  view.setUint32(28, packet.initiateTag);
  if (parameter > 0) {
    view.setUint16(32, STATE_COOKIE);
    view.setUint16(34, parameter);
    bytes.set(cookie, 36);
  }
  view.setUint32(8, crc32c(bytes), true);
  return bytes;
}

/**
 * Decodes an INIT or INIT ACK; undefined for anything else, and for an incomplete packet or a wrong
 * checksum.
 */
export function decodeSctp(bytes: Uint8Array): SctpPacket | undefined {
  if (bytes.length < FIXED_LENGTH) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunk = view.getUint8(12);
  if (chunk !== INIT && chunk !== INIT_ACK) return undefined;
  const checksum = view.getUint32(8, true);
  view.setUint32(8, 0);
  const right = crc32c(bytes);
  view.setUint32(8, checksum, true);
  if (checksum !== right) return undefined;
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    verificationTag: view.getUint32(4),
    chunk,
    initiateTag: view.getUint32(16),
    cookie: chunk === INIT_ACK ? cookieOf(bytes, view) : '',
  };
}

function cookieOf(bytes: Uint8Array, view: DataView): string {
  if (bytes.length < FIXED_LENGTH + 4 || view.getUint16(32) !== STATE_COOKIE) return '';
  return new TextDecoder().decode(bytes.subarray(36, 32 + view.getUint16(34)));
}

const CRC32C_REVERSED = 0x82f63b78;
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CRC32C_REVERSED : crc >>> 1;
  return crc;
});

/** CRC32c (Castagnoli), as SCTP uses it: RFC 9260, appendix A. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (crcTable[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
}

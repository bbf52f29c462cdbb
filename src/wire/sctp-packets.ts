/**
 * Finishes SCTP packets for a cable. Between virtual interfaces their checksum stays 0, and one
 * frame may contain the chunks of several packets, for the network card to split (NETIF_F_SCTP_CRC,
 * NETIF_F_GSO_SCTP). A packet socket's header cannot ask the kernel for either, so both are done
 * here. RFC 9260 sections 3 and 6.8.
 */

export const SCTP_HEADER = 12;
const CHECKSUM = 8;

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index;
  // Castagnoli's polynomial, reflected.
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** Writes the checksum of the packet at `at`, unless it has one already. */
export function finishChecksum(view: DataView, at: number, length: number): void {
  if (view.getUint32(at + CHECKSUM) !== 0) return;
  view.setUint32(at + CHECKSUM, crc32c(view, at, length), true);
}

function crc32c(view: DataView, at: number, length: number): number {
  let crc = 0xffffffff;
  for (let i = at; i < at + length; i++) crc = (crc >>> 8) ^ (TABLE[(crc ^ view.getUint8(i)) & 0xff] as number);
  return ~crc >>> 0;
}

/**
 * Splits the chunks of the packet at `at`, `length` bytes long, so that no part exceeds `most`
 * bytes, its SCTP header included. Returns where each part ends; undefined if a single chunk is too
 * long.
 */
export function partsOf(view: DataView, at: number, length: number, most: number): readonly number[] | undefined {
  const end = at + length;
  const ends: number[] = [];
  let start = at + SCTP_HEADER;
  let chunk = start;
  while (chunk + 4 <= end) {
    const next = Math.min(end, chunk + Math.max(4, (view.getUint16(chunk + 2) + 3) & ~3));
    if (next - start + SCTP_HEADER > most) {
      if (chunk === start) return undefined;
      ends.push(chunk);
      start = chunk;
    } else {
      chunk = next;
    }
  }
  ends.push(end);
  return ends;
}

/** The kernel's counts for a packet socket (PACKET_STATISTICS of packet(7)). */
import { libcFunction } from '../sys/native.ts';

const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;

const c_getsockopt = libcFunction('int getsockopt(int fd, int level, int name, void *value, void *length)');

/** `struct tpacket_stats_v3`: packets, drops, freezes. Other versions have the same beginning. */
const statistics = new Uint32Array(3);

/**
 * Returns counts since the last call: frames that passed the socket's filter, and how many of them
 * the kernel dropped because the buffer was full. Both are 0 for other sockets.
 */
export function takeStatistics(fd: number): { readonly frames: number; readonly dropped: number } {
  const length = Uint32Array.of(statistics.byteLength);
  if (c_getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, statistics, length) < 0) return { frames: 0, dropped: 0 };
  return { frames: statistics[0] as number, dropped: statistics[1] as number };
}

/** What the kernel counts of a packet socket (PACKET_STATISTICS of packet(7)). */
import { libcFunction } from '../sys/native.ts';

const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;

const c_getsockopt = libcFunction('int getsockopt(int fd, int level, int name, void *value, void *length)');

/** `struct tpacket_stats_v3`, of which the others are the beginning: packets, drops, freezes. */
const statistics = new Uint32Array(3);

/** Since the last call: frames that passed the socket's filter, and those of them that found its buffer full. None for other sockets. */
export function takeStatistics(fd: number): { readonly frames: number; readonly dropped: number } {
  const length = Uint32Array.of(statistics.byteLength);
  if (c_getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, statistics, length) < 0) return { frames: 0, dropped: 0 };
  return { frames: statistics[0] as number, dropped: statistics[1] as number };
}

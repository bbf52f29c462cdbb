/**
 * The netlink socket of a libpcap capture on `nflog:N`: the settings and the drop count that
 * libpcap does not provide.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { NETLINK_NO_ENOBUFS, SOL_NETLINK } from '../netlink/constants.ts';
import { SO_RCVBUFFORCE, SOL_SOCKET, setsockopt } from '../sys/libc.ts';

const PREFIX = 'nflog:';

export function isNflog(interfaceName: string): boolean {
  return interfaceName.startsWith(PREFIX);
}

/** Returns libpcap's name for an NFLOG group, 0 to 65535. */
export function nflogInterface(group: number): string {
  return `${PREFIX}${group}`;
}

export class NflogSocket {
  readonly #inode: string;
  #dropped = 0;

  /**
   * Stops the kernel from reporting a full buffer as a socket error, at which `cap` aborts the
   * process. Throws SystemCallError EPERM without CAP_NET_ADMIN.
   * @param bufferBytes size of the kernel's receive buffer
   */
  constructor(fd: number, bufferBytes: number) {
    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes);
    this.#inode = /\d+/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[0] ?? '';
  }

  /**
   * Returns how many copies the kernel dropped since the last call because the buffer was full. It
   * counts messages; with a threshold of 1 each is one copy. Columns of /proc/net/netlink
   * (netlink_seq_show in the kernel's net/netlink/af_netlink.c): …, Drops, Inode.
   */
  takeDropped(): number {
    for (const line of readFileSync('/proc/self/net/netlink', 'utf8').split('\n')) {
      const columns = line.trim().split(/\s+/);
      if (columns.at(-1) !== this.#inode) continue;
      const since = Number(columns.at(-2)) - this.#dropped;
      this.#dropped += since;
      return since;
    }
    return 0;
  }
}

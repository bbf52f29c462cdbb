/** The netlink socket on which libpcap takes copies of packets (`nflog:N`), as far as libpcap leaves it to others. */
import { readFileSync, readlinkSync } from 'node:fs';
import { NETLINK_NO_ENOBUFS, SOL_NETLINK } from '../dataplane/netlink/constants.ts';
import { SO_RCVBUFFORCE, SOL_SOCKET, setsockopt } from '../sys/libc.ts';

const PREFIX = 'nflog:';

export function isNflog(interfaceName: string): boolean {
  return interfaceName.startsWith(PREFIX);
}

/** What libpcap calls an NFLOG group, 0 to 65535. */
export function nflogInterface(group: number): string {
  return `${PREFIX}${group}`;
}

export class NflogSocket {
  readonly #inode: string;
  #dropped = 0;

  /**
   * A full buffer is no error of the socket from now on, which `cap` would abort the process for.
   * @param bufferBytes of the kernel. Throws SystemCallError EPERM without CAP_NET_ADMIN
   */
  constructor(fd: number, bufferBytes: number) {
    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes);
    this.#inode = /\d+/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[0] ?? '';
  }

  /**
   * Copies that found the buffer full, since the last call: with a threshold of 1 each is a message of its own. Columns of /proc/net/netlink (netlink_seq_show in the
   * kernel's net/netlink/af_netlink.c): …, Drops, Inode.
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

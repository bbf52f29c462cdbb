/** The addresses of a pod, read in its network namespace: for runtimes that do not tell them. */
import { closeSync, openSync } from 'node:fs';
import ipaddr from 'ipaddr.js';
import { canonicalAddress } from '../cluster/addresses.ts';
import {
  IFA_ADDRESS,
  IFA_LOCAL,
  IFADDRMSG_LENGTH,
  NETLINK_ROUTE,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  RT_SCOPE_UNIVERSE,
  RTM_GETADDR,
} from '../netlink/constants.ts';
import { eachAttribute, MessageWriter, NFGENMSG_LEN } from '../netlink/message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { runInNetns } from '../sys/netns.ts';

const RECEIVE_BUFFER = 1 << 18;
/** NetlinkSocket skips 4 bytes for an nfgenmsg; here an ifaddrmsg begins there. */
const BEHIND_HEADER = IFADDRMSG_LENGTH - NFGENMSG_LEN;
/** struct ifaddrmsg { u8 family; u8 prefixlen; u8 flags; u8 scope; u32 index } */
const SCOPE_IN_HEADER = 3 - NFGENMSG_LEN;

/**
 * Returns the global addresses of both families in the network namespace at `path`, in canonical
 * text: not those of loopback, nor link-local ones. Throws the error of opening the path (ENOENT if
 * the sandbox is gone), NetlinkError, or SystemCallError (EPERM without CAP_SYS_ADMIN).
 */
export async function addressesInNetns(path: string): Promise<string[]> {
  const netns = openSync(path, 'r');
  try {
    // A socket stays in the namespace in which it was made.
    using socket = runInNetns(netns, () => new NetlinkSocket(RECEIVE_BUFFER, NETLINK_ROUTE));
    const addresses = new Set<string>();
    const request = new MessageWriter(64).begin(0, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1);
    await socket.dump('reading the addresses of a pod', request, (view, start, end) => {
      const address = readGlobalAddress(view, start, end);
      if (address !== undefined) addresses.add(address);
    });
    return [...addresses];
  } finally {
    closeSync(netns);
  }
}

/**
 * Parses the address of the message at [start, end) of `view`. `start` is where NetlinkSocket
 * believes that the attributes begin. On a point-to-point interface IFA_ADDRESS is the other end.
 */
function readGlobalAddress(view: DataView, start: number, end: number): string | undefined {
  if (end - start < BEHIND_HEADER || view.getUint8(start + SCOPE_IN_HEADER) !== RT_SCOPE_UNIVERSE) return undefined;
  let address: string | undefined;
  let local: string | undefined;
  eachAttribute(view, start + BEHIND_HEADER, end, (type, from, to) => {
    if (type !== IFA_ADDRESS && type !== IFA_LOCAL) return;
    if (to - from !== 4 && to - from !== 16) return;
    const bytes = [...new Uint8Array(view.buffer, view.byteOffset + from, to - from)];
    const text = canonicalAddress(ipaddr.fromByteArray(bytes).toString());
    if (type === IFA_LOCAL) local = text;
    else address = text;
  });
  return local ?? address;
}

/**
 * The network interfaces of a namespace, by rtnetlink (rtnetlink(7)). sysfs would show those of the
 * namespace that it was mounted in, which may be another one.
 */

import type { BridgeFacts } from '../doctor/bridges.ts';
import {
  IFINFOMSG_LENGTH,
  IFLA_BR_NF_CALL_IP6TABLES,
  IFLA_BR_NF_CALL_IPTABLES,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
  IFLA_MASTER,
  NETLINK_ROUTE,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  RTM_GETLINK,
} from '../netlink/constants.ts';
import { eachAttribute, MessageWriter, NFGENMSG_LEN } from '../netlink/message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';

export interface Link {
  readonly index: number;
  readonly name: string;
  /** `veth`, `bridge`, …; '' for hardware. */
  readonly kind: string;
  /** Index of the bridge that it is a port of, or 0. */
  readonly master: number;
  /** Whether its other end is in another network namespace. */
  readonly leadsElsewhere: boolean;
  /** A bridge's own bridge-nf-call switches. */
  readonly callIptables: boolean;
  readonly callIp6tables: boolean;
}

const RECEIVE_BUFFER = 1 << 20;
/**
 * NetlinkSocket skips 4 bytes for the nfgenmsg of netfilter's messages; those of rtnetlink start
 * with an ifinfomsg.
 */
const BEHIND_HEADER = IFINFOMSG_LENGTH - NFGENMSG_LEN;
const INDEX_IN_HEADER = 4 - NFGENMSG_LEN;

/**
 * Lists the interfaces of the calling thread's network namespace. Throws NetlinkError or
 * SystemCallError.
 */
export async function readLinks(): Promise<Link[]> {
  const links: Link[] = [];
  using socket = new NetlinkSocket(RECEIVE_BUFFER, NETLINK_ROUTE);
  const request = new MessageWriter(64).begin(0, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1);
  await socket.dump('reading the network interfaces', request, (view, start, end) => {
    links.push(readLink(view, start, end));
  });
  return links;
}

/**
 * Parses the interface of the message at [start, end) of `view`. `start` is NFGENMSG_LEN bytes into
 * the ifinfomsg, where NetlinkSocket believes that the attributes begin. Never reads past `end`.
 */
export function readLink(view: DataView, start: number, end: number): Link {
  const link = {
    index: end - start < BEHIND_HEADER ? 0 : view.getInt32(start + INDEX_IN_HEADER, true),
    name: '',
    kind: '',
    master: 0,
    leadsElsewhere: false,
    callIptables: false,
    callIp6tables: false,
  };
  eachAttribute(view, start + BEHIND_HEADER, end, (type, from, to) => {
    if (type === IFLA_IFNAME) link.name = text(view, from, to);
    else if (type === IFLA_MASTER && to - from >= 4) link.master = view.getUint32(from, true);
    else if (type === IFLA_LINK_NETNSID) link.leadsElsewhere = true;
    else if (type === IFLA_LINKINFO) {
      eachAttribute(view, from, to, (type, from, to) => {
        if (type === IFLA_INFO_KIND) link.kind = text(view, from, to);
        else if (type === IFLA_INFO_DATA && link.kind === 'bridge') {
          eachAttribute(view, from, to, (type, from, to) => {
            if (to === from) return;
            if (type === IFLA_BR_NF_CALL_IPTABLES) link.callIptables = view.getUint8(from) !== 0;
            if (type === IFLA_BR_NF_CALL_IP6TABLES) link.callIp6tables = view.getUint8(from) !== 0;
          });
        }
      });
    }
  });
  return link;
}

/** Reads a string that ends with a zero byte. */
function text(view: DataView, from: number, to: number): string {
  return Buffer.from(view.buffer, view.byteOffset + from, to - from - 1).toString();
}

/** Returns the bridges, each with the number of ports whose other end is in a pod or container. */
export function bridgesOf(links: readonly Link[]): BridgeFacts[] {
  return links
    .filter(({ kind }) => kind === 'bridge')
    .map(({ index, name, callIptables, callIp6tables }) => ({
      name,
      callIptables,
      callIp6tables,
      podPorts: links.filter((port) => port.master === index && port.leadsElsewhere).length,
    }));
}

/**
 * Floods of packets from a pod, by raw and datagram sockets, in slices between which the event loop
 * runs; and floods of entries in the kernel's connection table.
 */
import { setImmediate } from 'node:timers/promises';
import type { LabHost } from '../../src/lab/lab.ts';
import {
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_NUM,
  CTA_PROTO_SRC_PORT,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_PROTO,
  CTA_TUPLE_REPLY,
  IPCTNL_MSG_CT_NEW,
  NFNL_SUBSYS_CTNETLINK,
  NLM_F_ACK,
  NLM_F_REQUEST,
} from '../../src/netlink/constants.ts';
import { MessageWriter } from '../../src/netlink/message.ts';
import { NetlinkSocket } from '../../src/netlink/socket.ts';
import { AF_INET, close, SOCK_DGRAM, SOCK_RAW } from '../../src/sys/libc.ts';
import { sendTo, socketAddress } from '../../src/sys/sockets.ts';
import { open, tcpSegment } from '../agent/denied-traffic.ts';

const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const SYN = 0x02;
/** Packets in a slice. */
const SLICE = 64;
const PORTS = 65_536;

/** Sends TCP segments that would open connections, each from its own source port. */
export async function synFlood(from: LabHost, to: LabHost, count: number): Promise<void> {
  await segments(from, to, count, (i) => [1024 + (i % 60_000), 80]);
}

/** Does the same to all ports in turn. */
export async function portScan(from: LabHost, to: LabHost, count = PORTS): Promise<void> {
  await segments(from, to, count, (i) => [40_000, i % PORTS]);
}

/** Sends datagrams, each to another port, from as many source ports as there are sockets. */
export async function datagramFlood(from: LabHost, to: LabHost, count: number, sockets = 16): Promise<void> {
  const address = to.addresses[0] ?? '';
  const fds = Array.from({ length: sockets }, () => open(from, SOCK_DGRAM));
  const datagram = new TextEncoder().encode('flood');
  try {
    await inSlices(count, (i) =>
      sendTo(fds[i % sockets] as number, datagram, 0, socketAddress(address, 10_000 + (i % 50_000))),
    );
  } finally {
    for (const fd of fds) close(fd);
  }
}

async function segments(
  from: LabHost,
  to: LabHost,
  count: number,
  portsOf: (i: number) => readonly [source: number, destination: number],
): Promise<void> {
  const addresses = { from: from.addresses[0] ?? '', to: to.addresses[0] ?? '' };
  const target = socketAddress(addresses.to, 0);
  const raw = open(from, SOCK_RAW, IPPROTO_TCP);
  try {
    await inSlices(count, (i) => {
      const [source, destination] = portsOf(i);
      sendTo(raw, tcpSegment(addresses, source, destination, SYN), 0, target);
    });
  } finally {
    close(raw);
  }
}

async function inSlices(count: number, work: (i: number) => void): Promise<void> {
  for (let i = 0; i < count; i++) {
    work(i);
    if (i % SLICE === SLICE - 1) await setImmediate();
  }
}

/** nfnetlink_conntrack.h, nf_conntrack_common.h. */
const CTA_STATUS = 3;
const CTA_TIMEOUT = 7;
const NLM_F_CREATE = 0x400;
const IPS_ASSURED_AND_SEEN_REPLY = 0x0e;
const ENTRIES_OF_REQUEST = 200;
const ENTRY_LENGTH = 256;

/**
 * Fills the connection table of a host's network namespace with connections of no real host. The
 * kernel does not evict them for others, and keeps them for at most `seconds`. Returns how many
 * fit.
 * @param most the value of nf_conntrack_max
 */
export async function fillKernelTable(host: LabHost, most: number, seconds: number): Promise<number> {
  using netlink = host.netns.run(() => new NetlinkSocket(1 << 20));
  const writer = new MessageWriter(ENTRIES_OF_REQUEST * ENTRY_LENGTH);
  let taken = 0;
  for (let start = 0; start < most; start += ENTRIES_OF_REQUEST) {
    writer.clear();
    for (let i = 0; i < ENTRIES_OF_REQUEST; i++) writeEntry(writer, start + i, seconds, i);
    try {
      netlink.request('adding connections', writer, ENTRIES_OF_REQUEST);
    } catch {
      // Full: ENOMEM.
      return taken;
    }
    taken += ENTRIES_OF_REQUEST;
    await setImmediate();
  }
  return taken;
}

function writeEntry(writer: MessageWriter, number: number, seconds: number, sequence: number): void {
  const client = [198, 18, (number >> 16) & 255, 1];
  const server = [198, 19, 0, 1];
  const port = number & 0xffff;
  const tuple = (type: number, [source, destination]: number[][], [from, to]: number[]) =>
    writer.nested(type, () =>
      writer
        .nested(CTA_TUPLE_IP, () =>
          writer
            .attribute(CTA_IP_V4_SRC, Uint8Array.from(source ?? []))
            .attribute(CTA_IP_V4_DST, Uint8Array.from(destination ?? [])),
        )
        .nested(CTA_TUPLE_PROTO, () =>
          writer
            .attribute(CTA_PROTO_NUM, Uint8Array.of(IPPROTO_UDP))
            .be16(CTA_PROTO_SRC_PORT, from ?? 0)
            .be16(CTA_PROTO_DST_PORT, to ?? 0),
        ),
    );
  writer.begin(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, sequence, AF_INET);
  tuple(CTA_TUPLE_ORIG, [client, server], [port, 9]);
  tuple(CTA_TUPLE_REPLY, [server, client], [9, port]);
  writer.be32(CTA_STATUS, IPS_ASSURED_AND_SEEN_REPLY).be32(CTA_TIMEOUT, seconds);
}

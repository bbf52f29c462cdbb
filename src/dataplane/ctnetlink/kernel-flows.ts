/**
 * The kernel's connection table in the calling thread's network namespace, through ctnetlink. It
 * contains the offloaded flows and those older than the agent. It is read in pieces, so that the
 * event loop is never held up for long; marks are changed in place.
 */
import { readFileSync } from 'node:fs';
import {
  CTA_FILTER,
  CTA_FILTER_F_CTA_IP_SRC,
  CTA_FILTER_ORIG_FLAGS,
  CTA_FILTER_REPLY_FLAGS,
  CTA_IP_V4_SRC,
  CTA_MARK,
  CTA_MARK_MASK,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_REPLY,
  CTA_ZONE,
  IPCTNL_MSG_CT_GET,
  IPCTNL_MSG_CT_NEW,
  NFNL_SUBSYS_CTNETLINK,
  NLA_F_NESTED,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from '../../netlink/constants.ts';
import { MessageWriter } from '../../netlink/message.ts';
import { NetlinkSocket } from '../../netlink/socket.ts';
import { AF_INET, AF_INET6 } from '../../sys/libc.ts';
import { KernelFlow } from './kernel-flow.ts';

/** Both families. */
const AF_UNSPEC = 0;
const RECEIVE_BUFFER = 1 << 20;
/** How often a dump is tried. A change of the table, such as a resize, interrupts it. */
const ATTEMPTS = 10;
/** Most marks changed with one send. */
const CHANGES = 64;
const CHANGE_LENGTH = 256;

/** What the kernel finds an entry by. */
export interface KernelFlowKey {
  readonly family: 4 | 6;
  readonly originalTuple: Uint8Array;
  readonly zone: number | undefined;
}

/** Which entries to read. */
export interface KernelFlowSelection {
  /** Those with `mark & mask` equal to `value`. @default 0, all */
  readonly mask?: number;
  readonly value?: number;
  /** @default both */
  readonly family?: 4 | 6;
  /**
   * Only entries that this address opened, or answers: the address that policies see, after Service
   * DNAT and before masquerade.
   */
  readonly end?: { readonly role: 'opener' | 'other'; readonly address: readonly number[] };
}

/**
 * Passes every selected entry to `visit`, which must not keep it. An entry may come twice if the
 * table changes meanwhile. Throws NetlinkError (EPERM without CAP_NET_ADMIN), or an Error if the
 * table kept changing; then entries may be missing.
 */
export async function eachKernelFlow(
  visit: (flow: KernelFlow) => void,
  { mask = 0, value = 0, end: selected, family = selected && familyOf(selected.address) }: KernelFlowSelection = {},
): Promise<void> {
  const flow = new KernelFlow();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    // One socket a dump: no answer to an earlier, abandoned dump can come in between.
    using netlink = new NetlinkSocket(RECEIVE_BUFFER);
    const request = new MessageWriter(128);
    const domain = family === undefined ? AF_UNSPEC : domainOf(family);
    request.begin(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, NLM_F_REQUEST | NLM_F_DUMP, 1, domain);
    if (mask !== 0) request.be32(CTA_MARK, value).be32(CTA_MARK_MASK, mask);
    if (selected !== undefined) selectEnd(request, selected);
    const end = await netlink.dump('reading the connection table', request, (view, from, to, family) => {
      if (!flow.read(view, from, to, family)) return;
      if ((flow.mark & mask) !== (value & mask)) return;
      if (selected === undefined || flow.hasEnd(selected.role, selected.address)) visit(flow);
    });
    if (end === 'complete') return;
  }
  throw new Error(`the kernel's connection table changed during each of ${ATTEMPTS} attempts to read it`);
}

/** Returns the number of entries; Infinity if the kernel does not report it. */
export function kernelFlowCount(): number {
  try {
    return Number(readFileSync('/proc/sys/net/netfilter/nf_conntrack_count', 'utf8'));
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function familyOf(address: readonly number[]): 4 | 6 {
  return address.length === 1 ? 4 : 6;
}

function domainOf(family: 4 | 6): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/**
 * Makes the kernel leave out entries that another IPv4 address opened, or answers. The dump of a
 * large table then takes a tenth of the time. For IPv6 the kernel's comparison is inverted
 * (ctnetlink_filter_match_tuple in net/netfilter/nf_conntrack_netlink.c leaves out equal addresses,
 * seen on 6.18).
 */
function selectEnd(request: MessageWriter, { role, address }: NonNullable<KernelFlowSelection['end']>): void {
  const [word, ...more] = address;
  if (word === undefined || more.length > 0) return;
  const inNetworkOrder = new DataView(new ArrayBuffer(4));
  inNetworkOrder.setInt32(0, word);
  const bytes = new Uint8Array(inNetworkOrder.buffer);
  const [tuple, flags] =
    role === 'opener' ? [CTA_TUPLE_ORIG, CTA_FILTER_ORIG_FLAGS] : [CTA_TUPLE_REPLY, CTA_FILTER_REPLY_FLAGS];
  request
    .nested(tuple, () => request.nested(CTA_TUPLE_IP, () => request.attribute(CTA_IP_V4_SRC, bytes)))
    // In host byte order.
    .nested(CTA_FILTER, () => request.attribute(flags, new Uint8Array(Uint32Array.of(CTA_FILTER_F_CTA_IP_SRC).buffer)));
}

/** Returns the key by which the kernel finds the entry again; it stays valid after the visit. */
export function keyOf(flow: KernelFlow): KernelFlowKey {
  return { family: flow.family, originalTuple: flow.originalTuple(), zone: flow.zone };
}

/**
 * Sets the bits of `mask` in the marks of these entries to `value`. Skips entries that have ended
 * meanwhile. Yields to the event loop between batches.
 */
export async function setMarks(flows: readonly KernelFlowKey[], mask: number, value: number): Promise<void> {
  if (flows.length === 0) return;
  using netlink = new NetlinkSocket(RECEIVE_BUFFER);
  const writer = new MessageWriter(CHANGES * CHANGE_LENGTH);
  for (let start = 0; start < flows.length; start += CHANGES) {
    const part = flows.slice(start, start + CHANGES);
    writer.clear();
    for (const [index, { family, originalTuple, zone }] of part.entries()) {
      const domain = domainOf(family);
      writer
        .begin(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW, NLM_F_REQUEST | NLM_F_ACK, index, domain)
        .attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, originalTuple);
      if (zone !== undefined) writer.be16(CTA_ZONE, zone);
      // The kernel clears the mask's bits, then adds the value by exclusive or
      // (ctnetlink_change_mark).
      writer.be32(CTA_MARK, value).be32(CTA_MARK_MASK, mask);
    }
    netlink.request('changing connection marks', writer, part.length, ['ENOENT']);
    if (start + CHANGES < flows.length) await new Promise<void>((resume) => setImmediate(resume));
  }
}

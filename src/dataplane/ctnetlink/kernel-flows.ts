/**
 * The kernel's connection table in the network namespace of the calling thread, through ctnetlink: offloaded flows live there, and so do
 * flows older than the agent. Read in pieces, so that the event loop is never held up for long; marks are changed in place.
 */
import { AF_INET, AF_INET6 } from '../../sys/libc.ts';
import {
  CTA_MARK,
  CTA_MARK_MASK,
  CTA_TUPLE_ORIG,
  CTA_ZONE,
  IPCTNL_MSG_CT_GET,
  IPCTNL_MSG_CT_NEW,
  NFNL_SUBSYS_CTNETLINK,
  NLA_F_NESTED,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from '../netlink/constants.ts';
import { MessageWriter } from '../netlink/message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { KernelFlow } from './kernel-flow.ts';

const RECEIVE_BUFFER = 1 << 20;
/** A dump that the table's own changes interrupted (it is resized) is read again, this often at most. */
const ATTEMPTS = 10;
/** Marks changed with one send. */
const CHANGES = 64;
const CHANGE_LENGTH = 256;

/** By which the kernel finds an entry again. */
export interface KernelFlowKey {
  readonly family: 4 | 6;
  readonly originalTuple: Uint8Array;
  readonly zone: number | undefined;
}

/**
 * Gives every entry to `visit`, which must not keep it: those with `mark & mask` equal to `value` where a mask is given, otherwise all.
 * An entry can come twice when the table changes meanwhile. Throws NetlinkError (EPERM without CAP_NET_ADMIN), and an Error where the table
 * never held still: then some entries may not have come.
 */
export async function eachKernelFlow(visit: (flow: KernelFlow) => void, mask = 0, value = 0): Promise<void> {
  const flow = new KernelFlow();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    // A socket for each dump: no answer of an earlier, abandoned one can come in between.
    using netlink = new NetlinkSocket(RECEIVE_BUFFER);
    const request = new MessageWriter(64);
    request.begin(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, NLM_F_REQUEST | NLM_F_DUMP, 1);
    if (mask !== 0) request.be32(CTA_MARK, value).be32(CTA_MARK_MASK, mask);
    const end = await netlink.dump('reading the connection table', request, (view, from, to, family) => {
      if (!flow.read(view, from, to, family)) return;
      if ((flow.mark & mask) === (value & mask)) visit(flow);
    });
    if (end === 'complete') return;
  }
  throw new Error(`the kernel's connection table changed under each of ${ATTEMPTS} readings`);
}

/** What finds the entry again, after the visit too. */
export function keyOf(flow: KernelFlow): KernelFlowKey {
  return { family: flow.family, originalTuple: flow.originalTuple(), zone: flow.zone };
}

/** Gives the bits of `mask` in the marks of these entries the value `value`. Entries that have ended meanwhile are passed over. */
export function setMarks(flows: readonly KernelFlowKey[], mask: number, value: number): void {
  if (flows.length === 0) return;
  using netlink = new NetlinkSocket(RECEIVE_BUFFER);
  const writer = new MessageWriter(CHANGES * CHANGE_LENGTH);
  for (let start = 0; start < flows.length; start += CHANGES) {
    const part = flows.slice(start, start + CHANGES);
    writer.clear();
    for (const [index, { family, originalTuple, zone }] of part.entries()) {
      const domain = family === 4 ? AF_INET : AF_INET6;
      writer
        .begin(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW, NLM_F_REQUEST | NLM_F_ACK, index, domain)
        .attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, originalTuple);
      if (zone !== undefined) writer.be16(CTA_ZONE, zone);
      // The kernel takes the bits of the mask away and then adds the value by exclusive or (ctnetlink_change_mark).
      writer.be32(CTA_MARK, value).be32(CTA_MARK_MASK, mask);
    }
    netlink.request('changing connection marks', writer, part.length, ['ENOENT']);
  }
}

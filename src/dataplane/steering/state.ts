/**
 * Steering is which packets the kernel hands over, as one desired state. Two renderings of it exist, nftables.ts and iptables.ts; this is
 * what both mean by it, for the packets that the node forwards (hook forward, after Service DNAT; nftables at priority mangle, before filter rules, iptables in the table security, behind them,
 * or in mangle: see QueueTable in iptables-rules.ts):
 *
 *     forward      the packet mark's judged bit is cleared           nobody but us may say that a packet was judged
 *                  connection mark has the judged bit  -> go on      the flow was judged, the kernel carries it        (offload)
 *                  ICMP error of a connection with it  -> go on      whichever worker judged the flow                  (no offload)
 *                  source or destination steered       -> queue      a worker judges it
 *                  the rest                            -> go on      endpoints that no policy selects pay nothing more
 *     filter       packet mark has the reject bit      -> TCP reset, ICMP administratively prohibited                  (deny: reject)
 *     postrouting  packet mark has the reject bit      -> drop       if something kept the packet from the line above  (deny: reject)
 *                  packet mark has the judged bit      -> copied to the connection mark
 *                  our bits of the packet mark are cleared           a tunnel's outer packet takes on the inner one's mark
 *
 * A worker answers with the mark that it was given, plus a bit: judged when it allows, reject when it denies and says so. After its
 * accept a packet goes on at the next hook, not at the next rule of the same chain (nf_reinject in the kernel's
 * net/netfilter/nfnetlink_queue.c), so the bits are looked at in later hooks only. A chain of nftables is a hook of its own in this sense; rules of others in the same table of iptables are not.
 *
 * Why ICMP errors are an exception without offload. The kernel spreads packets over the queues by addresses and protocol, so that an error
 * reaches another worker than the flow that it is about, and only the kernel's connection table knows that the two belong together.
 *
 * Why forward clears the judged bit and leaves the reject bit. The bits of the mask are podfence's on this node, yet any software of the
 * host may set packet marks, or restore them from connection marks. A judged bit that arrives would offload a flow that nobody judged,
 * so it is cleared. A reject bit that arrives is taken at its word: while steering changes from one kind to the other both are in place
 * for a moment, and if the second cleared what the first has decided, a denied packet would pass. Locally generated packets do not pass
 * the forward hook; their marks are set by root, who needs no help from us.
 *
 * The judged bit reaches the connection mark in postrouting only: a packet that is lost before (a filter rule, no route) leaves its flow
 * unjudged, and the flow's next packet comes to the queue again. What is forwarded past postrouting (a flow table, an eBPF redirect) does not
 * pass the forward hook either.
 *
 * Two first packets of one UDP flow (a resolver asks for A and AAAA from one socket) can wait in queues at the same time, each with a connection of its own that is in no table yet.
 * Through a Service each has chosen a backend by then. Before Linux 6.12 the kernel gives the second packet the first one's connection after its verdict, and translates it to that one's
 * backend (nf_conntrack_update in net/netfilter/nf_conntrack_core.c), but it does not route it again: from the forward hook the packet goes to the pod it had chosen before, which is not the
 * one that it is addressed to now, and is lost. So there nftables judges such packets before routing, in prerouting just behind the translation (priority dstnat + 5), where the same
 * does no harm:
 *
 *     prerouting   new connection, UDP, translated:
 *                    the packet mark's judged bit is cleared
 *                    not to be forwarded                -> go on      the node's own is not judged
 *                    connection mark has the judged bit -> go on                                                       (offload)
 *                    source or destination steered      -> queue
 *     behind it    packet mark has the judged bit       -> copied to the connection mark, and cleared before routing looks at marks
 *     forward      such packets with the judged bit in the connection mark, or the reject bit, are not queued once more
 *
 * A packet that is not judged there for whatever reason is judged in forward. iptables has no table between nat and routing.
 *
 * Where only copies are handed over (`copiesTo`), forward is all there is:
 *
 *     forward      established, or an error of such    -> go on      as the kernel carries it on under enforcement      (offload)
 *                  source or destination steered       -> a copy to an NFLOG group, and go on
 *
 * Nothing is queued, marked, dropped or answered, so nothing has to be there for packets to pass: a copy that nobody takes is gone.
 */
import { SocketAddress } from 'node:net';
import { SteeringError } from './error.ts';

/** Bits of the 32-bit packet and connection marks that belong to podfence. */
export interface MarkBits {
  /** One bit: the worker allowed the packet (packet mark), the flow was judged (connection mark). */
  readonly judged: number;
  /** One bit: the worker denied the packet and wants an answer sent (packet mark only). */
  readonly reject: number;
  /** All bits that are podfence's; others are never changed. Contains both of the above. */
  readonly mask: number;
}

/** @default for SteeringState.mark. Clear of kube-proxy (0x4000, 0x8000) and Tailscale (0xff0000); Calico's default mask overlaps. */
export const DEFAULT_MARK: MarkBits = { judged: 0x01000000, reject: 0x02000000, mask: 0x03000000 };

export interface SteeringState {
  /** Queue numbers `first` to `first + count - 1`, 0 to 65535. Both directions of a flow go to the same one. */
  readonly queues: { readonly first: number; readonly count: number };
  /** Addresses of this node's endpoints that are steered: policies isolate them in a direction, enforced or audited ones. Any order and spelling. */
  readonly steeredIPv4: readonly string[];
  readonly steeredIPv6: readonly string[];
  readonly mark: MarkBits;
  /** What becomes of a packet whose queue nobody reads: closed drops it, open lets it go on. */
  readonly fail: 'open' | 'closed';
  readonly deny: 'drop' | 'reject';
  /** Whether judged flows go on without being queued; of copies, whether there are none of packets of established connections. */
  readonly offload: boolean;
  /** Instead of queueing packets, hand copies of them to this NFLOG group, 0 to 65535: `queues`, `mark`, `fail` and `deny` mean nothing then. */
  readonly copiesTo?: number;
}

/** A part of steering that is not as it was applied. */
export interface Damage {
  /** `iptables, table mangle: the jump from FORWARD to PODFENCE-FORWARD is gone`. */
  readonly what: string;
  /** Whether packets may have passed that the policies deny; otherwise judged flows were not carried on, or denied senders not answered. */
  readonly opens: boolean;
}

/** Changes of rules by other software are told by the kernel: of rules and sets of addresses, of rules alone, or of nothing. */
export type ToldChanges = 'rules and sets' | 'rules' | 'nothing';

/** `judging`: an agent judges, and was there when its sign was renewed. `stopped`: it ended then, in order. */
export type SignWord = 'judging' | 'stopped';

/** How far an `apply` got: it has written nothing; it has written; it has begun to take away what an earlier agent may have left. */
export type ApplyProgress = 'nothing' | 'written' | 'replacing';

/** Whether `retract` takes away what was written: not once it stands for what an earlier agent left. */
export function isRetractable(progress: ApplyProgress, queueing: readonly string[]): boolean {
  return progress === 'written' || (progress === 'replacing' && queueing.length === 0);
}

export type SteeringKind = 'nftables' | 'iptables';

/** One way to bring a SteeringState into force. One call at a time. */
export interface Steering {
  readonly kind: SteeringKind;
  /** Whether first packets of translated UDP flows are judged in prerouting. */
  readonly beforeRouting: boolean;
  /**
   * Brings the whole state into force. What is in place already is adopted, and only what differs is changed; at no moment does a packet
   * from or to an endpoint that is steered before and after pass unjudged. Where `signal` is aborted half-way it throws the signal's reason, and part of the state
   * is in force: see `retract`. Throws SteeringError.
   */
  apply(state: SteeringState, signal?: AbortSignal): Promise<void>;
  /**
   * Replaces the steered addresses of the state applied last, writing only the differences. Where what other software has changed stands in the way, all of the
   * state is brought into force again; gives back what that was. Throws SteeringError.
   */
  setSteered(ipv4: readonly string[], ipv6: readonly string[]): Promise<readonly Damage[]>;
  /**
   * What of the state applied last is not in place any more: other software can flush what is not its own. Throws SteeringError, NOT_APPLIED where nothing
   * was applied.
   */
  findDamage(): Promise<readonly Damage[]>;
  /**
   * From now on `onForeign` is called when the kernel tells that other software has changed rules of ours: see rule-watch.ts. In the network namespace of the calling thread. Throws
   * SystemCallError.
   */
  watch(onForeign: () => void): void;
  /** Until now. */
  unwatch(): void;
  /**
   * Puts in place again what the kernel has told that other software took away since the last call, by one run of one tool a family, without a look at the rest first. Gives
   * back what that was; `undefined` where nothing was told. What was told may not be all that is gone. Throws SteeringError, where a set is gone, too.
   */
  restoreTold(): Promise<readonly Damage[] | undefined>;
  /** What this kernel makes of the state that was applied that is not as it should be, in sentences for the log. */
  readonly caveats: readonly string[];
  /** What of the rules the kernel tells changes of. */
  readonly told: ToldChanges;
  /** Renews the sign beside the rules; see sign.ts. Does nothing where nothing was applied. Throws SteeringError. */
  sign(word: SignWord): Promise<void>;
  /**
   * Takes away what `apply` has written where that did not come into force: a queue that nobody reads holds up whom it isolates. What was there before stays; where `apply` has
   * begun to take that away, what it has written stays instead. Throws SteeringError.
   * @param queueing whose rules handed packets over before, as findPredecessor gives them
   */
  retract(queueing: readonly string[]): Promise<void>;
  /** Takes away all that podfence ever installed, of either kind, and nothing else. Throws SteeringError after having tried all of it. */
  remove(): Promise<void>;
}

/** Bytes of a packet that are copied: every header that is judged, the ones that an ICMP error quotes too. */
export const COPY_LENGTH = 128;

/** Throws SteeringError INVALID_STATE if the kernel could not carry out `state`, or would misread it. */
export function validateState(state: SteeringState): void {
  const { first, count } = state.queues;
  if (!(Number.isInteger(first) && Number.isInteger(count) && first >= 0 && count >= 1 && first + count <= 0x10000)) {
    throw invalid(`queues ${first} to ${first + count - 1} are not within 0 to 65535`);
  }
  validateMark(state.mark);
  const { copiesTo: group = 0 } = state;
  if (!(Number.isInteger(group) && group >= 0 && group <= 0xffff))
    throw invalid(`group ${group} is not within 0 to 65535`);
}

/** Throws SteeringError INVALID_STATE unless judged and reject are two different single bits within the mask. */
function validateMark({ judged, reject, mask }: MarkBits): void {
  for (const [name, bits] of Object.entries({ judged, reject, mask })) {
    if (!(Number.isInteger(bits) && bits > 0 && bits <= 0xffffffff))
      throw invalid(`mark ${name} ${bits} is not 32 bits`);
  }
  const single = (bits: number) => (bits & (bits - 1)) === 0;
  if (!single(judged) || !single(reject) || judged === reject) {
    throw invalid(`the marks judged ${hex(judged)} and reject ${hex(reject)} are not two different single bits`);
  }
  if ((mask & judged) === 0 || (mask & reject) === 0) {
    throw invalid(`the mark mask ${hex(mask)} does not contain judged ${hex(judged)} and reject ${hex(reject)}`);
  }
}

/**
 * Addresses in the kernel tools' spelling (inet_ntop(3)), without repetitions: so that what is wanted and what is read back compare as
 * text. Throws SteeringError INVALID_STATE for what is not an address of the family.
 */
export function canonicalAddresses(family: 4 | 6, addresses: readonly string[]): Set<string> {
  const canonical = new Set<string>();
  for (const address of addresses) {
    canonical.add(canonicalAddress(family, address));
  }
  return canonical;
}

function canonicalAddress(family: 4 | 6, address: string): string {
  try {
    // SocketAddress would leave away the zone of a link-local address (fe80::1%eth0), which no set can hold.
    if (!address.includes('%')) return new SocketAddress({ address, family: `ipv${family}` }).address;
  } catch {
    // Refused below.
  }
  throw invalid(`${JSON.stringify(address)} is not an IPv${family} address`);
}

/** What has to be added to and taken from `present` to make it `wanted`. */
export function difference(
  present: ReadonlySet<string>,
  wanted: ReadonlySet<string>,
): { add: string[]; remove: string[] } {
  return { add: [...wanted.difference(present)], remove: [...present.difference(wanted)] };
}

/** `0x1000000`, as iptables-save and nft print marks. */
export function hex(bits: number): string {
  return `0x${(bits >>> 0).toString(16)}`;
}

function invalid(message: string): SteeringError {
  return new SteeringError('INVALID_STATE', message, 'this is a configuration error: correct the named value');
}

/**
 * Steering decides which packets the kernel hands over, as one desired state. nftables.ts and
 * iptables.ts both render that state. Its rules concern packets that the node forwards: hook
 * forward, after Service DNAT. nftables works at priority mangle, before filter rules; iptables in
 * the table security, after them, or in mangle (see QueueTable in iptables-rules.ts).
 *
 *     forward
 *       clear the judged bit of the packet mark       only podfence may say that it judged a packet
 *       judged bit in the connection mark -> go on    the kernel carries judged flows     (offload)
 *       ICMP error of such a connection   -> go on    any worker may have judged it    (no offload)
 *       source or destination steered     -> queue    a worker judges it
 *       the rest                          -> go on    other endpoints cost nothing more
 *     filter
 *       reject bit in the packet mark     -> TCP reset or ICMP administratively prohibited
 *                                                                                    (deny: reject)
 *     postrouting
 *       reject bit in the packet mark     -> drop     if something skipped filter    (deny: reject)
 *       judged bit in the packet mark     -> copied to the connection mark
 *       clear podfence's bits             a tunnel's outer packet inherits the inner one's mark
 *
 * A worker answers with the packet's mark plus a bit: judged if it allows, reject if it denies and
 * wants an answer sent. After the worker's accept a packet goes on at the next hook, not at the
 * next rule of the same chain (nf_reinject in the kernel's net/netfilter/nfnetlink_queue.c), so
 * only later hooks look at the bits. Each nftables chain counts as a hook of its own here; rules of
 * other software in the same iptables table do not.
 *
 * Why ICMP errors are an exception without offload. The kernel spreads packets over the queues by
 * addresses and protocol, so an error can reach another worker than its flow. Only the kernel's
 * connection table knows that the two belong together.
 *
 * Why forward clears the judged bit and keeps the reject bit. The bits of the mask are podfence's
 * on this node, but any software of the host can set packet marks or restore them from connection
 * marks. A judged bit that arrives would offload a flow that no worker judged, so forward clears
 * it. A reject bit that arrives is trusted: while steering switches from one kind to the other,
 * both are in place for a moment, and if the second cleared the first one's decision, a denied
 * packet would pass. Locally generated packets do not pass the forward hook; root sets their marks,
 * and root needs no help from us.
 *
 * Only postrouting copies the judged bit to the connection mark. A packet that is lost before that
 * (a filter rule, no route) leaves its flow unjudged, and the flow's next packet is queued again.
 * Packets that bypass postrouting (a flow table, an eBPF redirect) bypass the forward hook too.
 *
 * Two first packets of one UDP flow can wait in queues at the same time: a resolver asks for A and
 * AAAA from one socket. Each has a connection of its own that is in no table yet, and through a
 * Service each has chosen its backend. Before Linux 6.12, after the verdict the kernel gives the
 * second packet the first one's connection and translates it to that one's backend
 * (nf_conntrack_update in net/netfilter/nf_conntrack_core.c), but does not route it again. From the
 * forward hook the packet then goes to the pod that it had chosen first, no longer carries that
 * pod's address, and is lost. On such kernels nftables judges these packets before routing, in
 * prerouting just after the translation (priority dstnat + 5), where the same change does no harm:
 *
 *     prerouting   new connection, UDP, translated:
 *       clear the judged bit of the packet mark
 *       not to be forwarded               -> go on    packets to the node itself are not judged
 *       judged bit in the connection mark -> go on                                        (offload)
 *       source or destination steered     -> queue
 *     next chain
 *       judged bit in the packet mark     -> copied to the connection mark, and cleared before
 *                                            routing looks at marks
 *     forward
 *       does not queue such packets again if they have the judged bit in the connection mark, or
 *       the reject bit
 *
 * forward judges a packet that prerouting did not judge for any reason. iptables has no table
 * between nat and routing.
 *
 * In audit mode only copies are handed over (`copiesTo`), and forward is the only chain:
 *
 *     forward
 *       established, or an error of such  -> go on    enforcement would offload it        (offload)
 *       source or destination steered     -> copy to an NFLOG group, and go on
 *
 * Nothing is queued, marked, dropped or answered, so packets pass whether an agent runs or not. A
 * copy without a reader is lost.
 */
import { SocketAddress } from 'node:net';
import { SteeringError } from './error.ts';

/** Bits of the 32-bit packet and connection marks that belong to podfence. */
export interface MarkBits {
  /**
   * One bit: the worker allowed the packet (packet mark), the flow was judged (connection mark).
   */
  readonly judged: number;
  /** One bit: the worker denied the packet and asks for a reject (packet mark only). */
  readonly reject: number;
  /** All bits of podfence, both of the above included. Other bits are never changed. */
  readonly mask: number;
}

/**
 * The default marks. They avoid kube-proxy's (0x4000, 0x8000) and Tailscale's (0xff0000); Calico's
 * default mask overlaps.
 */
export const DEFAULT_MARK: MarkBits = { judged: 0x01000000, reject: 0x02000000, mask: 0x03000000 };

export interface SteeringState {
  /**
   * Queue numbers `first` to `first + count - 1`, 0 to 65535. Both directions of a flow go to the
   * same one.
   */
  readonly queues: { readonly first: number; readonly count: number };
  /**
   * Steered addresses of this node: endpoints that policies isolate in a direction, enforced or
   * audited ones. Any order and spelling.
   */
  readonly steeredIPv4: readonly string[];
  readonly steeredIPv6: readonly string[];
  readonly mark: MarkBits;
  /**
   * What happens to a packet whose queue no agent reads: `closed` drops it, `open` lets it pass.
   */
  readonly fail: 'open' | 'closed';
  readonly deny: 'drop' | 'reject';
  /**
   * Whether judged flows bypass the queue. For copies, whether to skip packets of established
   * connections.
   */
  readonly offload: boolean;
  /**
   * If set, copies go to this NFLOG group, 0 to 65535, and nothing is queued. `queues`, `mark`,
   * `fail` and `deny` are then ignored.
   */
  readonly copiesTo?: number;
}

/** A part of the kernel's rules or sets that differs from what was applied. */
export interface Damage {
  /**
   * What differs, such as `iptables, table mangle: the jump from FORWARD to PODFENCE-FORWARD is
   * gone`.
   */
  readonly what: string;
  /**
   * Whether denied packets may have passed. If not, judged flows were not offloaded, or denied
   * senders got no answer.
   */
  readonly opens: boolean;
}

/**
 * Which changes by other software the kernel reports: of rules and sets, of rules alone, or none.
 */
export type ToldChanges = 'rules and sets' | 'rules' | 'nothing';

/**
 * `judging`: the agent was judging when it renewed its sign. `stopped`: it stopped in order then.
 */
export type SignWord = 'judging' | 'stopped';

/**
 * How far `apply` got: it has written nothing, it has written, or it has begun to remove an earlier
 * agent's rules.
 */
export type ApplyProgress = 'nothing' | 'written' | 'replacing';

/**
 * Whether `retract` removes what was written. It does not once that replaces an earlier agent's
 * rules.
 */
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
   * Brings the whole state into force. It adopts what is in place and changes only what differs. An
   * endpoint that is steered before and after never has a packet pass unjudged. If `signal` is
   * aborted half-way, it throws the signal's reason and leaves part of the state in force: see
   * `retract`. Throws SteeringError.
   */
  apply(state: SteeringState, signal?: AbortSignal): Promise<void>;
  /**
   * Replaces the steered addresses of the state applied last and writes only the differences. If
   * changes by other software prevent that, it brings the whole state into force again and returns
   * those changes. Throws SteeringError.
   */
  setSteered(ipv4: readonly string[], ipv6: readonly string[]): Promise<readonly Damage[]>;
  /**
   * Returns what differs from the state applied last, because other software can flush rules that
   * are not its own. Throws SteeringError: NOT_APPLIED if nothing was applied.
   */
  findDamage(): Promise<readonly Damage[]>;
  /**
   * Calls `onForeign` from now on when the kernel reports that other software changed podfence's
   * rules: see rule-watch.ts. Watches the network namespace of the calling thread. Throws
   * SystemCallError.
   */
  watch(onForeign: () => void): void;
  /** Ends `watch`. */
  unwatch(): void;
  /**
   * Restores what the kernel has reported as removed by other software since the last call. It runs
   * one tool once per family and reads nothing first. Returns what that was; undefined if nothing
   * was reported. More may be gone than was reported. Throws SteeringError, also if a set is gone.
   */
  restoreTold(): Promise<readonly Damage[] | undefined>;
  /** Limitations of the applied state on this kernel, in sentences for the log. */
  readonly caveats: readonly string[];
  /** Which changes of the rules the kernel reports. */
  readonly told: ToldChanges;
  /**
   * Renews the sign beside the rules; see sign.ts. Does nothing if nothing was applied. Throws
   * SteeringError.
   */
  sign(word: SignWord): Promise<void>;
  /**
   * Removes what `apply` wrote if it did not come into force, because a queue without a reader
   * blocks the pods that it isolates. Keeps rules that were there before; if `apply` has begun to
   * remove those, keeps what it wrote instead. Throws SteeringError.
   * @param queueing commands whose rules queued packets before, as findPredecessor returns them
   */
  retract(queueing: readonly string[]): Promise<void>;
  /**
   * Removes everything that podfence installed with either kind, and nothing else. Throws
   * SteeringError, after it has tried all of it.
   */
  remove(): Promise<void>;
}

/**
 * Bytes of a packet to copy: every header that is judged, including those that an ICMP error
 * quotes.
 */
export const COPY_LENGTH = 128;

/**
 * Throws SteeringError INVALID_STATE if the kernel cannot carry out `state` or would misread it.
 */
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

/**
 * Throws SteeringError INVALID_STATE unless judged and reject are two different single bits within
 * the mask.
 */
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
 * Returns addresses as the kernel's tools spell them (inet_ntop(3)), without duplicates, so that
 * wanted and present addresses compare as text. Throws SteeringError INVALID_STATE for anything
 * that is not an address of the family.
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
    // SocketAddress would drop the zone of a link-local address (fe80::1%eth0), and no set can hold
    // a zone.
    if (!address.includes('%')) return new SocketAddress({ address, family: `ipv${family}` }).address;
  } catch {
    // Reported below.
  }
  throw invalid(`${JSON.stringify(address)} is not an IPv${family} address`);
}

/** Returns what to add to and remove from `present` to get `wanted`. */
export function difference(
  present: ReadonlySet<string>,
  wanted: ReadonlySet<string>,
): { add: string[]; remove: string[] } {
  return { add: [...wanted.difference(present)], remove: [...present.difference(wanted)] };
}

/** Formats a mark as iptables-save and nft print it, such as `0x1000000`. */
export function hex(bits: number): string {
  return `0x${(bits >>> 0).toString(16)}`;
}

function invalid(message: string): SteeringError {
  return new SteeringError('INVALID_STATE', message, 'this is a configuration error: correct the named value');
}

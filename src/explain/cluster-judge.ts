/**
 * Judges any flow of a whole cluster, each direction by itself, by what judges packets on the nodes: a compiled RuleTable and the filter's
 * decision on a packet.
 *
 * A node's table knows its own pods as endpoints, and its filter says one verdict for both directions. Here every pod is an endpoint of one table
 * that is compiled from what the policies say about egress, and of another from what they say about ingress: so each gives what the
 * source's node, or the destination's, would decide.
 */
import { hostsOf } from '../cluster/address-owners.ts';
import type { Direction, PolicyMode, PolicyRecord } from '../cluster/records.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { AUDITED, isDenied, reasonOf, rule } from '../filter/decide.ts';
import {
  ALLOWED_BY_POLICY,
  EGRESS_DENIED,
  INGRESS_DENIED,
  LOCAL_NODE,
  REASONS,
  type ReasonName,
} from '../filter/reasons.ts';
import { decode } from '../packet/decode.ts';
import { openingPacket } from '../packet/first-packets.ts';
import { Packet } from '../packet/packet.ts';
import { type AddressWords, addressWords } from '../policy/address-words.ts';
import { type NodeIdentity, PolicyCompiler } from '../policy/compiler.ts';
import { asCompiled } from '../policy/refused-policies.ts';
import type { RuleTable } from '../policy/rule-table.ts';
import type { FlowEnd } from './flow-end.ts';
import { type FlowProtocol, type Judgement, protocolNumber, type Verdict } from './judgement.ts';

/** Any ephemeral port: no policy looks at it. */
const SOURCE_PORT = 40_000;

/** The node that all pods are endpoints of. */

/** Where an address is: in a pod's network, or in that of the node itself. */
interface Place {
  readonly node: string | undefined;
  readonly isNode: boolean;
}

export interface JudgeOptions {
  /** Nodes whose addresses are known otherwise than from pods that use their network. @default none */
  readonly nodes?: readonly NodeIdentity[];
  /** As in CompilerOptions. @default enforce */
  readonly mode?: PolicyMode;
  /** What a node judges by at this moment: it decides for the pods of this node. @default nothing */
  readonly inForce?: { readonly node: string; readonly table: RuleTable };
}

export class ClusterJudge {
  readonly #snapshot: ClusterSnapshot;
  readonly #mode: PolicyMode;
  #tables: Tables | undefined;
  readonly #places = new Map<string, Place>();
  readonly #inForce: JudgeOptions['inForce'];
  readonly #packet = new Packet();

  constructor(cluster: ClusterSnapshot, { nodes = [], mode = 'enforce', inForce }: JudgeOptions = {}) {
    this.#mode = mode;
    this.#inForce = inForce;
    const snapshot = asCompiled(cluster);
    this.#snapshot = snapshot;
    for (const { address, node, isNode } of hostsOf(snapshot.pods)) this.#places.set(address, { node, isNode });
    for (const { name, addresses } of nodes) {
      for (const address of addresses) this.#places.set(address, { node: name, isNode: true });
    }
  }

  /**
   * @param port destination port, NO_PORT for ICMP
   * @throws RangeError where the ends' addresses are of different families, or are none
   */
  judge(from: FlowEnd, to: FlowEnd, protocol: FlowProtocol, port: number): Judgement {
    if (this.#isLocalNode(from, to)) return judgementOf(LOCAL_NODE, LOCAL_NODE);
    const source = wordsOf(from);
    const destination = wordsOf(to);
    if (source.length !== destination.length) {
      throw new RangeError(`${from.address} and ${to.address} are of different address families`);
    }
    const view = openingPacket({
      source,
      destination,
      protocol: protocolNumber(protocol, source.length > 1),
      sourcePort: SOURCE_PORT,
      destinationPort: port,
    });
    decode(this.#packet, view, 0, view.byteLength);
    this.#tables ??= tablesOf(this.#snapshot, this.#mode);
    const egress = rule(this.#tables.egress, this.#packet);
    const ingress = rule(this.#tables.ingress, this.#packet);
    if (this.#inForce === undefined) return judgementOf(egress, ingress);
    const { node, table } = this.#inForce;
    const ruling = rule(table, this.#packet);
    const deniesEgress = reasonOf(ruling) === EGRESS_DENIED && isDenied(ruling);
    return judgementOf(
      from.kind === 'pod' && from.node === node ? asIn(ruling, egress, EGRESS_DENIED) : egress,
      // A node that denies the egress does not get to the ingress.
      to.kind === 'pod' && to.node === node && !deniesEgress ? asIn(ruling, ingress, INGRESS_DENIED) : ingress,
    );
  }

  /** Traffic between a pod and the node that it runs on is always allowed; the tables know of no nodes. */
  #isLocalNode(from: FlowEnd, to: FlowEnd): boolean {
    const source = this.#placeOf(from);
    const destination = this.#placeOf(to);
    return (
      source !== undefined &&
      source.node !== undefined &&
      source.node === destination?.node &&
      source.isNode !== destination.isNode
    );
  }

  #placeOf(end: FlowEnd): Place | undefined {
    return end.kind === 'node' ? { node: end.name, isNode: true } : this.#places.get(end.address);
  }
}

/** One direction's ruling, given the node's own of the packet, which says of one direction what it denies, or else what it would deny. */
function asIn(inForce: number, compiled: number, denial: number): number {
  if (reasonOf(inForce) === denial) return inForce;
  return isDenied(compiled) ? ALLOWED_BY_POLICY : compiled;
}

type Tables = Readonly<Record<Direction, RuleTable>>;

/** By snapshot, which never changes: whoever asks about one, in whatever words, asks the same tables. */
const compiled: Readonly<Record<PolicyMode, WeakMap<ClusterSnapshot, Tables>>> = {
  enforce: new WeakMap(),
  audit: new WeakMap(),
};

/** Compiled when they are first asked. */
function tablesOf(snapshot: ClusterSnapshot, mode: PolicyMode): Tables {
  let tables = compiled[mode].get(snapshot);
  if (tables === undefined) {
    tables = { egress: tableOf(snapshot, mode, 'egress'), ingress: tableOf(snapshot, mode, 'ingress') };
    compiled[mode].set(snapshot, tables);
  }
  return tables;
}

function tableOf({ namespaces, pods, policies }: ClusterSnapshot, mode: PolicyMode, direction: Direction): RuleTable {
  const compiler = new PolicyCompiler(undefined, { mode });
  const records = [
    ...namespaces,
    ...pods,
    ...policies.map(
      (policy): PolicyRecord => ({ ...policy, isolates: policy.isolates.filter((each) => each === direction) }),
    ),
  ];
  compiler.apply(records.map((record) => ({ type: 'set', record })));
  return compiler.compile().table;
}

function wordsOf({ address }: FlowEnd): AddressWords {
  const words = addressWords(address);
  if (words === undefined) throw new RangeError(`${address} is not an IP address`);
  return words;
}

/** @param egress a ruling of filter/decide.ts, as `ingress` is */
function judgementOf(egress: number, ingress: number): Judgement {
  const decisive = decisiveOf(egress, ingress);
  return {
    egress: verdictOf(egress),
    ingress: verdictOf(ingress),
    verdict: verdictOf(decisive),
    reason: REASONS[reasonOf(decisive)] as ReasonName,
  };
}

function verdictOf(ruling: number): Verdict {
  if (isDenied(ruling)) return 'deny';
  return (ruling & AUDITED) !== 0 ? 'would_deny' : 'allow';
}

/** What a filter that has both directions says: a denial first, then what would be one, egress before ingress; and allowed by policy where either is. */
function decisiveOf(egress: number, ingress: number): number {
  for (const verdict of ['deny', 'would_deny'] as const) {
    if (verdictOf(egress) === verdict) return egress;
    if (verdictOf(ingress) === verdict) return ingress;
  }
  return reasonOf(ingress) === ALLOWED_BY_POLICY ? ingress : egress;
}

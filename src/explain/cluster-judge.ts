/**
 * Judges any flow of a whole cluster, each direction by itself, by what judges packets on the nodes: a compiled RuleTable and the filter's
 * decision on a packet.
 *
 * A node's table knows its own pods as endpoints, and its filter says one verdict for both directions. Here every pod is an endpoint of one table
 * that is compiled from what the policies say about egress, and of another from what they say about ingress: so each gives what the
 * source's node, or the destination's, would decide.
 */
import type { Direction, PodRecord, PolicyRecord } from '../cluster/records.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { decide } from '../filter/decide.ts';
import {
  ALLOWED_BY_POLICY,
  EGRESS_DENIED,
  FIRST_DENY,
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
import type { RuleTable } from '../policy/rule-table.ts';
import type { FlowEnd } from './flow-end.ts';
import { type FlowProtocol, type Judgement, protocolNumber } from './judgement.ts';

/** Any ephemeral port: no policy looks at it. */
const SOURCE_PORT = 40_000;

/** The node that all pods are endpoints of. */
const ANY_NODE = { name: '', addresses: [] };

/** Where an address is: in a pod's network, or in that of the node itself. */
interface Place {
  readonly node: string | undefined;
  readonly isNode: boolean;
}

export interface JudgeOptions {
  /** Nodes whose addresses are known otherwise than from pods that use their network. @default none */
  readonly nodes?: readonly NodeIdentity[];
  /** What a node judges by at this moment: it decides for the pods of this node. @default nothing */
  readonly inForce?: { readonly node: string; readonly table: RuleTable };
}

export class ClusterJudge {
  readonly #snapshot: ClusterSnapshot;
  #tables: Tables | undefined;
  readonly #places = new Map<string, Place>();
  readonly #inForce: JudgeOptions['inForce'];
  readonly #packet = new Packet();

  constructor(snapshot: ClusterSnapshot, { nodes = [], inForce }: JudgeOptions = {}) {
    this.#inForce = inForce;
    this.#snapshot = snapshot;
    for (const { addresses, nodeName, hostNetwork } of snapshot.pods) {
      for (const address of addresses) this.#places.set(address, { node: nodeName, isNode: hostNetwork });
    }
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
    this.#tables ??= tablesOf(this.#snapshot);
    const egress = decide(this.#tables.egress, this.#packet);
    const ingress = decide(this.#tables.ingress, this.#packet);
    if (this.#inForce === undefined) return judgementOf(egress, ingress);
    const { node, table } = this.#inForce;
    const reason = decide(table, this.#packet);
    return judgementOf(
      from.kind === 'pod' && from.node === node ? asIn(reason, egress, EGRESS_DENIED) : egress,
      // A node that denies the egress does not get to the ingress.
      to.kind === 'pod' && to.node === node && reason !== EGRESS_DENIED
        ? asIn(reason, ingress, INGRESS_DENIED)
        : ingress,
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

/** One direction's reason, given what the node's own table says about the packet. */
function asIn(inForce: number, compiled: number, denial: number): number {
  if (inForce === denial) return denial;
  return compiled < FIRST_DENY ? compiled : ALLOWED_BY_POLICY;
}

type Tables = Readonly<Record<Direction, RuleTable>>;

/** By snapshot, which never changes: whoever asks about one, in whatever words, asks the same tables. */
const compiled = new WeakMap<ClusterSnapshot, Tables>();

/** Compiled when they are first asked. */
function tablesOf(snapshot: ClusterSnapshot): Tables {
  let tables = compiled.get(snapshot);
  if (tables === undefined) {
    tables = { egress: tableOf(snapshot, 'egress'), ingress: tableOf(snapshot, 'ingress') };
    compiled.set(snapshot, tables);
  }
  return tables;
}

function tableOf({ namespaces, pods, policies }: ClusterSnapshot, direction: Direction): RuleTable {
  const compiler = new PolicyCompiler(ANY_NODE);
  const records = [
    ...namespaces,
    ...pods.map((pod): PodRecord => ({ ...pod, nodeName: ANY_NODE.name })),
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

function judgementOf(egress: number, ingress: number): Judgement {
  const egressDenied = egress >= FIRST_DENY;
  const ingressDenied = ingress >= FIRST_DENY;
  return {
    egress: egressDenied ? 'deny' : 'allow',
    ingress: ingressDenied ? 'deny' : 'allow',
    verdict: egressDenied || ingressDenied ? 'deny' : 'allow',
    reason: REASONS[reasonOfBoth(egress, ingress)] as ReasonName,
  };
}

/** What a filter that enforces both directions says: a denial first, egress before ingress, and allowed by policy where either is. */
function reasonOfBoth(egress: number, ingress: number): number {
  if (egress >= FIRST_DENY) return egress;
  if (ingress >= FIRST_DENY) return ingress;
  return ingress === ALLOWED_BY_POLICY ? ingress : egress;
}

/**
 * Judges any flow of a whole cluster, each direction separately, with the code that judges packets
 * on the nodes: a compiled RuleTable and the filter's ruling. Every pod is an endpoint of the
 * table, so egress is judged as on the source's node and ingress as on the destination's.
 */
import { hostsOf } from '../cluster/address-owners.ts';
import type { PolicyMode } from '../cluster/records.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { AUDITED, isDenied, reasonOf, ruleDirection, together } from '../filter/decide.ts';
import { LOCAL_NODE, REASONS, type ReasonName } from '../filter/reasons.ts';
import { decode } from '../packet/decode.ts';
import { openingPacket } from '../packet/first-packets.ts';
import { Packet } from '../packet/packet.ts';
import { type AddressWords, addressWords } from '../policy/address-words.ts';
import { type NodeIdentity, PolicyCompiler } from '../policy/compiler.ts';
import { asCompiled } from '../policy/refused-policies.ts';
import { type DirectionIndex, EGRESS, INGRESS, type RuleTable } from '../policy/rule-table.ts';
import type { FlowEnd } from './flow-end.ts';
import { type FlowProtocol, type Judgement, protocolNumber, type Verdict } from './judgement.ts';

/** Any ephemeral port: no policy looks at it. */
const SOURCE_PORT = 40_000;

/** Where an address is: in a pod's network, or in the node's own. */
interface Place {
  readonly node: string | undefined;
  readonly isNode: boolean;
}

export interface JudgeOptions {
  /** Nodes whose addresses do not come from their host-network pods. @default none */
  readonly nodes?: readonly NodeIdentity[];
  /** As in CompilerOptions. @default enforce */
  readonly mode?: PolicyMode;
  /**
   * The table that a node judges by right now; it decides for the pods of that node. @default
   * nothing
   */
  readonly inForce?: { readonly node: string; readonly table: RuleTable };
}

export class ClusterJudge {
  readonly #snapshot: ClusterSnapshot;
  readonly #mode: PolicyMode;
  #compiled: Compiled | undefined;
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
   * @throws RangeError if the addresses are of different families, or one is not an IP address
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
    const ruling = (end: FlowEnd, direction: DirectionIndex) =>
      ruleDirection(this.#tableFor(end), this.#packet, direction);
    return judgementOf(ruling(from, EGRESS), ruling(to, INGRESS));
  }

  /** Returns the table that judges the end's own direction. */
  #tableFor(end: FlowEnd): RuleTable {
    if (end.kind === 'pod' && end.node !== undefined && end.node === this.#inForce?.node) return this.#inForce.table;
    return this.#compile().table;
  }

  /**
   * Policies whose ipBlocks open nothing to some of their pods, because the policies that select
   * those pods have too many ipBlocks together. Maps `namespace/name` to the reason, a sentence
   * about the policy without a full stop.
   */
  closedBlocks(): ReadonlyMap<string, string> {
    return this.#compile().closedBlocks;
  }

  #compile(): Compiled {
    this.#compiled ??= compiledOf(this.#snapshot, this.#mode);
    return this.#compiled;
  }

  /**
   * Whether the flow is between a pod and the node that it runs on, which is always allowed. The
   * tables do not contain nodes.
   */
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

interface Compiled {
  readonly table: RuleTable;
  readonly closedBlocks: ReadonlyMap<string, string>;
}

/** Keyed by snapshot, which never changes: all questions about one snapshot share one table. */
const compiled: Readonly<Record<PolicyMode, WeakMap<ClusterSnapshot, Compiled>>> = {
  enforce: new WeakMap(),
  audit: new WeakMap(),
};

/** Compiles on first use. */
function compiledOf(snapshot: ClusterSnapshot, mode: PolicyMode): Compiled {
  let found = compiled[mode].get(snapshot);
  if (found === undefined) {
    const compiler = new PolicyCompiler(undefined, { mode });
    const { namespaces, pods, policies } = snapshot;
    compiler.apply([...namespaces, ...pods, ...policies].map((record) => ({ type: 'set', record })));
    const { table } = compiler.compile();
    const closed = compiler.refusedPolicies().filter(({ refuses }) => refuses === 'blocks');
    found = { table, closedBlocks: new Map(closed.map(({ policy, reason }) => [policy, reason])) };
    compiled[mode].set(snapshot, found);
  }
  return found;
}

function wordsOf({ address }: FlowEnd): AddressWords {
  const words = addressWords(address);
  if (words === undefined) throw new RangeError(`${address} is not an IP address`);
  return words;
}

/** @param egress a ruling of filter/decide.ts, like `ingress` */
function judgementOf(egress: number, ingress: number): Judgement {
  const decisive = together(egress, ingress);
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

/**
 * What a policy may ask for. Most ask for little, but whoever may write policies could ask for
 * gigabytes and minutes: with many different selectors that each match nearly all pods, or with
 * ipBlocks that each have a hole and ports of their own. A policy that exceeds its budget is
 * *refused*: like one with an error, it isolates its pods and allows nothing.
 *
 * The budget counts what a policy's selectors can match, and the words of the table that its
 * ipBlocks take. That depends on the records of the cluster alone, not on their order or on the
 * node, so all agents refuse the same policies. endpoint-classes.ts limits what the policies of one
 * pod take together.
 */
import { type PolicyPeer, type PolicyRecord, type PolicyRule, recordKey } from '../cluster/records.ts';
import { blockPrefixes } from './address-words.ts';
import { type Block, wordsOfBlocks } from './cidr.ts';
import type { Identities } from './identities.ts';
import { type PeerGroups, peerKey, scopeKey } from './peer-groups.ts';
import { inPieces, type Pieces } from './pieces.ts';
import { ALL_PORTS, PREFIX6_WORDS } from './table-layout.ts';

export interface Budget {
  /**
   * What the selectors of one policy can match, added up: a word for each identity and namespace,
   * and the ports that are opened to them.
   */
  readonly matchWords: number;
  /** Words of the table that the ipBlocks of one policy take. */
  readonly blockWords: number;
  /**
   * Words of the table that the ipBlocks of all policies for the same pods take, in one direction.
   */
  readonly endpointBlockWords: number;
}

/**
 * Each takes up to half a second to compile, in pieces. Enough for twenty selectors that each match
 * 50,000 identities, or for 80,000 IPv4 blocks with one port.
 */
export const BUDGET: Budget = { matchWords: 2 ** 20, blockWords: 2 ** 18, endpointBlockWords: 2 ** 20 };

export interface RefusedPolicy {
  /** `namespace/name`. */
  readonly policy: string;
  /** A sentence about the policy without its name. */
  readonly reason: string;
  /**
   * `all`: the policy allows nothing. `blocks`: its ipBlocks allow nothing, for some of its pods.
   */
  readonly refuses: 'all' | 'blocks';
}

/** What a policy asks for. */
interface Demand {
  readonly key: string;
  readonly record: PolicyRecord;
  /**
   * Words for each identity that its peers ask for: `own` by peers with only a podSelector,
   * `foreign` by those with a namespaceSelector.
   */
  readonly own: number;
  readonly foreign: number;
  /**
   * Upper bound of the words that its ipBlocks take, found without looking at what contains what.
   */
  readonly mostBlockWords: number;
  /** Whether they take too many; undefined until counted. */
  tooManyBlocks: boolean | undefined;
  /**
   * Its distinct peers with selectors, and one of these for each namespaceSelector; undefined until
   * needed.
   */
  peers: readonly DemandedPeer[] | undefined;
  scopes: readonly PolicyPeer[] | undefined;
  /** So many moves of identities after `countedAt` cannot change `tooManyMatches`. */
  headroom: number;
  countedAt: number;
  tooManyMatches: boolean;
  /** The record as it is compiled while the policy is refused. */
  refused: PolicyRecord | undefined;
}

interface DemandedPeer {
  readonly peer: PolicyPeer;
  /** Port ranges and names that the policy opens to it. */
  ranges: number;
}

/** What the policies of a namespace ask for, and the sums. */
class Demands {
  readonly namespace: string;
  readonly policies = new Map<string, Demand>();
  own = 0;
  foreign = 0;
  mostBlockWords = 0;
  refusals = 0;

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  add({ own, foreign, mostBlockWords }: Demand, sign: 1 | -1): void {
    this.own += sign * own;
    this.foreign += sign * foreign;
    this.mostBlockWords += sign * mostBlockWords;
  }
}

/**
 * The first number for port sets that are only counted, above those with a meaning of their own.
 */
const FIRST_SET = ALL_PORTS + 1;
/** Peers counted within some hundredths of a millisecond. */
const PEERS_OF_PIECE = 20;
/**
 * Up to this many peers have few combinations: their ports count once for each combination at most,
 * not once for each identity.
 */
const FEW_PEERS = 10;

export class PolicyBudget {
  private readonly identities: Identities;
  private readonly groups: PeerGroups;
  private readonly budget: Budget;
  private readonly byNamespace = new Map<string, Demands>();

  constructor(identities: Identities, groups: PeerGroups, budget: Budget) {
    this.budget = budget;
    this.identities = identities;
    this.groups = groups;
  }

  /** Adds a policy. One of the same name must have been deleted before. */
  set(record: PolicyRecord): void {
    const { namespace } = record;
    let demands = this.byNamespace.get(namespace);
    if (demands === undefined) {
      demands = new Demands(namespace);
      this.byNamespace.set(namespace, demands);
    }
    const demand = demandOf(record);
    demands.policies.set(demand.key, demand);
    demands.add(demand, 1);
  }

  delete(record: PolicyRecord): void {
    const demands = this.byNamespace.get(record.namespace);
    const demand = demands?.policies.get(recordKey(record));
    if (demands === undefined || demand === undefined) return;
    if (demand.refused !== undefined) demands.refusals--;
    demands.policies.delete(demand.key);
    demands.add(demand, -1);
    if (demands.policies.size === 0) this.byNamespace.delete(record.namespace);
  }

  /** Returns the record to compile: for a refused policy, one with an error and no rules. */
  compiled(record: PolicyRecord): PolicyRecord {
    return this.byNamespace.get(record.namespace)?.policies.get(recordKey(record))?.refused ?? record;
  }

  /** Returns the refused policies. */
  refused(): RefusedPolicy[] {
    const refused: RefusedPolicy[] = [];
    for (const { policies, refusals } of this.byNamespace.values()) {
      if (refusals === 0) continue;
      for (const { key, refused: record } of policies.values())
        if (record !== undefined) refused.push({ policy: key, reason: record.error as string, refuses: 'all' });
    }
    return refused;
  }

  /**
   * Decides again where something may have changed, in pieces. Returns the policies that became
   * refused, or are refused no longer.
   */
  *review(): Generator<undefined, PolicyRecord[]> {
    const turned: PolicyRecord[] = [];
    for (const demands of this.byNamespace.values()) {
      if (demands.refusals === 0 && this.isModest(demands.namespace, demands)) continue;
      let looked = 0;
      for (const demand of demands.policies.values()) {
        const reason = yield* this.reasonToRefuse(demand);
        if (++looked % PEERS_OF_PIECE === 0) yield;
        if (demand.refused?.error === reason) continue;
        demands.refusals += Number(reason !== undefined) - Number(demand.refused !== undefined);
        demand.refused = reason === undefined ? undefined : refusedRecord(demand.record, reason);
        turned.push(demand.record);
      }
    }
    return turned;
  }

  /** Whether the policy is within the budget by its upper bound, without a closer count. */
  private isModest(namespace: string, { own, foreign, mostBlockWords }: Sizes): boolean {
    const { size, labelledNamespaces } = this.identities;
    const ofNamespace = this.identities.namespace(namespace).identities.size;
    const words = own * ofNamespace + foreign * (size + labelledNamespaces);
    return words <= this.budget.matchWords && mostBlockWords <= this.budget.blockWords;
  }

  private *reasonToRefuse(demand: Demand): Generator<undefined, string | undefined> {
    const { matchWords, blockWords } = this.budget;
    if (this.isModest(demand.record.namespace, demand)) return undefined;
    demand.tooManyBlocks ??=
      demand.mostBlockWords > blockWords && (yield* blockWordsOf(demand.record, blockWords)) > blockWords;
    if (demand.tooManyBlocks)
      return `its ipBlocks ask for more than ${blockWords.toLocaleString('en')} words of the rule table`;
    yield* this.countMatches(demand);
    return demand.tooManyMatches
      ? `its selectors, with what they can match and the ports that they open, ask for more than ${matchWords.toLocaleString('en')} words of the rule table`
      : undefined;
  }

  /**
   * Counts the matches, if enough identities have moved since the last count to change the answer.
   */
  private *countMatches(demand: Demand): Pieces {
    const { moves } = this.identities;
    if (moves - demand.countedAt < demand.headroom) return;
    if (demand.peers === undefined) yield* findPeers(demand);
    const { peers = [], scopes = [] } = demand;
    const namespace = this.identities.namespace(demand.record.namespace);
    const counts = new Map<string, number>();
    let matches = 0;
    let opened = 0;
    let ranges = 0;
    yield* inPieces(scopes, (peer) => {
      matches += this.groups.countNamespaces(peer);
    });
    // Enough to refuse. Counting what peers match would look at as many namespaces again.
    if (matches <= this.budget.matchWords) {
      yield* inPieces(peers, (each) => {
        const count = this.groups.countCandidates(each.peer, namespace, counts);
        matches += count;
        opened += count * each.ranges;
        ranges += each.ranges;
      });
    }
    const most = peers.length <= FEW_PEERS ? Math.min(opened, 2 ** peers.length * ranges) : opened;
    const excess = matches + most - this.budget.matchWords;
    demand.tooManyMatches = excess > 0;
    // The most that one move can change it.
    const step = peers.length + scopes.length + ranges;
    demand.headroom = Math.ceil(Math.abs(excess) / Math.max(1, step));
    demand.countedAt = moves;
  }
}

/** Returns a record that isolates as the policy does, and allows nothing. */
export function refusedRecord(record: PolicyRecord, reason: string): PolicyRecord {
  return { ...record, egress: [], ingress: [], error: reason };
}

/**
 * The reason why the ipBlocks of a policy open nothing: those of all policies of the same pods are
 * too many.
 */
export function tooManyBlocksTogether(most: number): string {
  return `its ipBlocks, together with those of other policies that select some of its pods, ask for more than ${most.toLocaleString('en')} words of the rule table: they open nothing to these pods`;
}

/**
 * Whether a policy can be refused in a cluster of so many pods and namespaces, by an upper bound.
 */
export function canBeRefused(record: PolicyRecord, pods: number, namespaces: number): boolean {
  const { own, foreign, mostBlockWords } = sizesOf(record);
  return own * pods + foreign * (pods + namespaces) > BUDGET.matchWords || mostBlockWords > BUDGET.blockWords;
}

/**
 * Whether policies of one namespace can ask for so many words of ipBlocks together that they open
 * nothing to the pods that they all select, by an upper bound.
 */
export function canBeTooManyTogether(policies: Iterable<PolicyRecord>): boolean {
  const sums = new Map<string, { prefixes: number; ranges: number }>();
  for (const record of policies) {
    const sum = sums.get(record.namespace) ?? { prefixes: 0, ranges: 0 };
    const { prefixes, ranges } = blockSizesOf(record);
    // A block inside another one opens the ports of both.
    sums.set(record.namespace, { prefixes: sum.prefixes + prefixes, ranges: sum.ranges + ranges });
  }
  return [...sums.values()].some((sum) => mostBlockWords(sum) > BUDGET.endpointBlockWords);
}

interface BlockSizes {
  readonly prefixes: number;
  readonly ranges: number;
}

function mostBlockWords({ prefixes, ranges }: BlockSizes): number {
  return prefixes * (ranges + PREFIX6_WORDS);
}

function blockSizesOf(record: PolicyRecord): BlockSizes {
  let prefixes = 0;
  let ranges = 0;
  for (const { peers, ports } of countedRules(record)) {
    const blocks = peers.flatMap(({ ipBlock }) => ipBlock ?? []);
    prefixes += blocks.reduce((sum, { except }) => sum + 1 + except.length, 0);
    if (blocks.length > 0) ranges += ports.length;
  }
  return { prefixes, ranges };
}

type Sizes = Pick<Demand, 'own' | 'foreign' | 'mostBlockWords'>;

function demandOf(record: PolicyRecord): Demand {
  return {
    ...{ key: recordKey(record), record, ...sizesOf(record) },
    ...{ tooManyBlocks: undefined, peers: undefined, scopes: undefined },
    ...{ headroom: 0, countedAt: 0, tooManyMatches: false, refused: undefined },
  };
}

/** Returns `own` and `foreign` in words for each identity. */
function sizesOf(record: PolicyRecord): Sizes {
  let own = 0;
  let foreign = 0;
  for (const { peers, ports } of countedRules(record)) {
    for (const { ipBlock, namespaceSelector } of peers) {
      if (ipBlock !== undefined) continue;
      if (namespaceSelector !== undefined) foreign += 1 + ports.length;
      else own += 1 + ports.length;
    }
  }
  return { own, foreign, mostBlockWords: mostBlockWords(blockSizesOf(record)) };
}

function countedRules({ isolates, egress, ingress }: PolicyRecord): readonly PolicyRule[] {
  if (!isolates.includes('egress')) return isolates.includes('ingress') ? ingress : [];
  return isolates.includes('ingress') ? [...egress, ...ingress] : egress;
}

function* findPeers(demand: Demand): Pieces {
  const { record } = demand;
  const peers = new Map<string, DemandedPeer>();
  const scopes = new Map<string, PolicyPeer>();
  let looked = 0;
  for (const { peers: ofRule, ports } of countedRules(record)) {
    for (const peer of ofRule) {
      if (++looked % PEERS_OF_PIECE === 0) yield;
      if (peer.ipBlock !== undefined) continue;
      const key = peerKey(peer, record.namespace);
      const known = peers.get(key);
      if (known === undefined) peers.set(key, { peer, ranges: ports.length });
      else known.ranges += ports.length;
      if (peer.namespaceSelector !== undefined) scopes.set(scopeKey(peer, record.namespace), peer);
    }
  }
  demand.peers = [...peers.values()];
  demand.scopes = [...scopes.values()];
}

/** Counts no further than needed to see that it is too much. */
function* blockWordsOf(record: PolicyRecord, most: number): Generator<undefined, number> {
  let words = 0;
  for (const direction of record.isolates) words += yield* blockWordsIn(record[direction], most);
  return words;
}

function* blockWordsIn(rules: readonly PolicyRule[], most: number): Generator<undefined, number> {
  // Equal ports are one port set, which is not interned before the demand is known.
  const sets = new Map<string, number>();
  const ranges: number[] = [];
  const blocks: Block[] = [];
  yield* inPieces(rules, ({ peers, ports }) => {
    if (!peers.some(({ ipBlock }) => ipBlock !== undefined)) return;
    const key = JSON.stringify(ports);
    let set = sets.get(key);
    if (set === undefined) {
      set = FIRST_SET + sets.size;
      sets.set(key, set);
      ranges.push(ports.length);
    }
    const number = ports.length === 0 ? ALL_PORTS : set;
    for (const { ipBlock } of peers) {
      const prefixes = ipBlock && blockPrefixes(ipBlock);
      if (prefixes !== undefined) blocks.push({ ...prefixes, ports: number });
    }
  });
  return yield* wordsOfBlocks(blocks, most, (set) => ranges[set - FIRST_SET] ?? 0);
}

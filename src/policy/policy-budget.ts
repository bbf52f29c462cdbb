/**
 * What a policy may ask of the table. Most ask for a few words; who may write policies could ask for gigabytes: with selectors that each match nearly all
 * pods, and different ones, or with ipBlocks that each have a hole and ports of their own. A policy that asks for more than its budget, or
 * comes with the smaller ones of its namespace to more than the namespace's, is *refused*: it isolates its pods and allows nothing, as one with an error does.
 *
 * What counts is a word for each identity that a selector of a rule can match, and the words of the ipBlocks' prefixes and ports. It follows from the records of the
 * cluster alone, not from their order or from the node: all agents refuse the same.
 */
import { type PolicyPeer, type PolicyRecord, type PolicyRule, recordKey } from '../cluster/records.ts';
import { blockPrefixes } from './address-words.ts';
import { type Block, wordsOfBlocks } from './cidr.ts';
import type { Identities } from './identities.ts';
import { type PeerGroups, peerKey } from './peer-groups.ts';
import { inPieces } from './pieces.ts';
import { ALL_PORTS, PREFIX6_WORDS } from './table-layout.ts';

/** Words of the table that may be asked for. */
export interface Budget {
  /** By one policy. */
  readonly policy: number;
  /** By the policies of one namespace. */
  readonly namespace: number;
  /** By the ipBlocks, in one direction, of all policies that select the same pods. */
  readonly endpointBlocks: number;
}

/** 4 MiB for a policy, which takes some 300 ms to compile, in turns. */
export const BUDGET: Budget = { policy: 2 ** 20, namespace: 2 ** 22, endpointBlocks: 2 ** 22 };

export interface RefusedPolicy {
  /** `namespace/name`. */
  readonly policy: string;
  /** Follows the policy's name and a colon. */
  readonly reason: string;
}

/** What is counted of a policy. */
interface Demand {
  readonly key: string;
  readonly record: PolicyRecord;
  /** Peers with a podSelector only, and those with a namespaceSelector. */
  readonly own: number;
  readonly foreign: number;
  /** More words than its ipBlocks can ask for, told without a look at what holds what. */
  readonly mostBlockWords: number;
  /** Counted when that is too many. */
  blockWords: number | undefined;
  /** Its distinct peers that have selectors, by what makes them distinct. */
  peers: ReadonlyMap<string, PolicyPeer> | undefined;
  /** The record as it is compiled while it is refused. */
  refused: PolicyRecord | undefined;
}

/** Of a namespace. */
class Demands {
  readonly namespace: string;
  readonly policies = new Map<string, Demand>();
  own = 0;
  foreign = 0;
  mostBlockWords = 0;
  refusals = 0;
  /** That many identities may come, go or be found otherwise before anything else can follow; 0 where the policies changed. */
  headroom = 0;
  /** `identities.moves` when it was counted. */
  countedAt = 0;

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  add(demand: Demand, sign: 1 | -1): void {
    this.own += sign * demand.own;
    this.foreign += sign * demand.foreign;
    this.mostBlockWords += sign * demand.mostBlockWords;
    this.headroom = 0;
  }
}

/** Of port sets that are only counted: above those with a meaning. */
const FIRST_SET = ALL_PORTS + 1;
/** Peers that are counted in some hundredths of a millisecond. */
const PEERS_OF_PIECE = 20;

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

  /** There is such a policy; a policy that was there by this name was deleted before. */
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

  /** The record as it is to be compiled: that of a refused policy says so, and has no rules. */
  compiled(record: PolicyRecord): PolicyRecord {
    return this.byNamespace.get(record.namespace)?.policies.get(recordKey(record))?.refused ?? record;
  }

  /** Those that are refused, sorted. */
  refused(): RefusedPolicy[] {
    const refused: RefusedPolicy[] = [];
    for (const { policies, refusals } of this.byNamespace.values()) {
      if (refusals === 0) continue;
      for (const { key, refused: record } of policies.values())
        if (record !== undefined) refused.push({ policy: key, reason: record.error as string });
    }
    return refused.sort((a, b) => (a.policy < b.policy ? -1 : 1));
  }

  /** Decides anew where something may have changed, in pieces; gives back the policies that are refused now and were not, or the other way. */
  *review(): Generator<undefined, PolicyRecord[]> {
    const turned: PolicyRecord[] = [];
    const { moves } = this.identities;
    for (const demands of this.byNamespace.values()) {
      if (moves - demands.countedAt < demands.headroom) continue;
      if (this.asksForLittle(demands) && demands.refusals === 0) continue;
      yield* this.decide(demands, turned);
    }
    return turned;
  }

  /** Less than would be refused of one policy, at a glance. */
  private asksForLittle({ namespace, own, foreign, mostBlockWords }: Demands): boolean {
    const { identities } = this.identities.namespace(namespace);
    return own * identities.size + foreign * this.identities.size + mostBlockWords <= this.budget.policy;
  }

  private *decide(demands: Demands, turned: PolicyRecord[]): Generator<undefined, void> {
    const namespace = this.identities.namespace(demands.namespace);
    const counts = new Map<string, number>();
    const scopes = new Map<string, number>();
    const taken = new Set<string>();
    let total = 0;
    let headroom = Number.POSITIVE_INFINITY;
    let counted = 0;
    const isOver = (words: number, most: number, peers: number): boolean => {
      if (peers > 0) headroom = Math.min(headroom, Math.ceil(Math.abs(words - most) / peers));
      return words > most;
    };
    for (const demand of [...demands.policies.values()].sort(bySize)) {
      demand.peers ??= distinctPeers(demand.record);
      demand.blockWords ??=
        demand.mostBlockWords <= this.budget.policy
          ? demand.mostBlockWords
          : yield* blockWordsOf(demand.record, this.budget.policy);
      let alone = demand.blockWords;
      let added = demand.blockWords;
      for (const [key, peer] of demand.peers) {
        let count = counts.get(key);
        if (count === undefined) {
          count = this.groups.countCandidates(peer, namespace, scopes);
          counts.set(key, count);
          if (++counted % PEERS_OF_PIECE === 0) yield;
        }
        alone += count;
        if (!taken.has(key)) added += count;
      }
      let reason: string | undefined;
      if (isOver(alone, this.budget.policy, demand.peers.size)) reason = tooMuch(this.budget.policy);
      else if (isOver(total + added, this.budget.namespace, taken.size + demand.peers.size))
        reason = tooMuchTogether(this.budget.namespace);
      else {
        total += added;
        for (const key of demand.peers.keys()) taken.add(key);
      }
      if (demand.refused?.error === reason) continue;
      demands.refusals += Number(reason !== undefined) - Number(demand.refused !== undefined);
      demand.refused = reason === undefined ? undefined : refusedRecord(demand.record, reason);
      turned.push(demand.record);
    }
    demands.headroom = headroom;
    demands.countedAt = this.identities.moves;
  }
}

function tooMuch(most: number): string {
  return `its rules ask for more than ${most.toLocaleString('en')} words of the rule table`;
}

function tooMuchTogether(most: number): string {
  return `with the smaller policies of its namespace its rules ask for more than ${most.toLocaleString('en')} words of the rule table`;
}

export function tooManyBlocks(most: number): string {
  return `its ipBlocks, and those of the policies that select the same pods, ask for more than ${most.toLocaleString('en')} words of the rule table: they open nothing`;
}

/** It isolates what the policy does, and allows nothing. */
export function refusedRecord(record: PolicyRecord, reason: string): PolicyRecord {
  return { ...record, egress: [], ingress: [], error: reason };
}

/** More words than a policy can ask for in a cluster of so many pods: told at a glance. */
export function mostWordsOf(record: PolicyRecord, pods: number): number {
  const { own, foreign, mostBlockWords } = demandOf(record);
  return (own + foreign) * pods + mostBlockWords;
}

/** What is likeliest to be refused comes last; by what is written in the policy, so that pods that come and go change no order. */
function bySize(a: Demand, b: Demand): number {
  return sizeOf(a) - sizeOf(b) || (a.key < b.key ? -1 : 1);
}

function sizeOf({ own, foreign, mostBlockWords }: Demand): number {
  return own + foreign + mostBlockWords;
}

function demandOf(record: PolicyRecord): Demand {
  let own = 0;
  let foreign = 0;
  let prefixes = 0;
  let ranges = 0;
  for (const { peers, ports } of countedRules(record)) {
    let hasBlocks = false;
    for (const { ipBlock, namespaceSelector } of peers) {
      if (ipBlock !== undefined) {
        prefixes += 1 + ipBlock.except.length;
        hasBlocks = true;
      } else if (namespaceSelector !== undefined) foreign++;
      else own++;
    }
    if (hasBlocks) ranges += ports.length;
  }
  const mostBlockWords = prefixes * (ranges + PREFIX6_WORDS);
  return {
    key: recordKey(record),
    record,
    own,
    foreign,
    mostBlockWords,
    blockWords: undefined,
    peers: undefined,
    refused: undefined,
  };
}

function* countedRules(record: PolicyRecord): Generator<PolicyRule> {
  for (const direction of record.isolates) yield* record[direction];
}

function distinctPeers(record: PolicyRecord): Map<string, PolicyPeer> {
  const distinct = new Map<string, PolicyPeer>();
  for (const { peers } of countedRules(record)) {
    for (const peer of peers) if (peer.ipBlock === undefined) distinct.set(peerKey(peer, record.namespace), peer);
  }
  return distinct;
}

/** No more than is needed to see that it is too much. */
function* blockWordsOf(record: PolicyRecord, most: number): Generator<undefined, number> {
  let words = 0;
  for (const direction of record.isolates) words += yield* blockWordsIn(record[direction], most);
  return words;
}

function* blockWordsIn(rules: readonly PolicyRule[], most: number): Generator<undefined, number> {
  // Equal ports are one port set, which is not made before it is known what the policy asks for.
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

/**
 * Endpoint classes: endpoints of this node that the same policies select share one, and with it one
 * set of rules in the table. A class is built when its first endpoint appears and dropped with its
 * last. In between, its rules change only for peer groups that come and go and that its selectors
 * match.
 */

import { deciding } from '../cluster/mode.ts';
import { type Block, isIpv4, type PrefixPorts, prefixPortsInPieces, RANGES_OF_PIECE, wordsOfBlocks } from './cidr.ts';
import { GrowingWords, Numbers } from './growing-words.ts';
import { type InternedSet, InternedSets } from './interned-sets.ts';
import type { Identity, Peer, PeerGroup, Policy } from './model.ts';
import { inPieces, type Pieces } from './pieces.ts';
import { directionName, type PolicyRules } from './policy-rules.ts';
import type { PortSets } from './port-set.ts';
import { type DirectionIndex, EGRESS, INGRESS } from './rule-table.ts';
import {
  ALL_PORTS,
  ANY_PEER,
  BY_AUDITED,
  BY_ENFORCED,
  DIRECTION_WORDS,
  GROUP_RULE_WORDS,
  ISOLATED,
  LENGTHS4,
  LENGTHS6,
  NO_PORTS,
  WHOLE4,
  WHOLE6,
} from './table-layout.ts';
import { WordTable } from './word-table.ts';

export type PolicySet = InternedSet<Policy>;

export interface EndpointClass {
  /** Above 0. */
  readonly id: number;
  readonly policies: readonly Policy[];
  readonly directions: readonly [ClassDirection, ClassDirection];
}

interface ClassDirection {
  /** Index in `directions` where its words begin; part of the key of every rule. */
  readonly record: number;
  /** The value of the word ISOLATED. */
  readonly isolation: number;
  /** Port set open to every peer. */
  readonly anyPeer: number;
  /** Port sets that peers add to `anyPeer`. */
  readonly peers: ReadonlyMap<Peer, number>;
  readonly prefixes: readonly PrefixPorts[];
  /** Whether its ipBlocks need more words than they may; then they open nothing. */
  readonly tooMany: boolean;
}

export class EndpointClasses {
  private readonly rules: PolicyRules;
  private readonly portSets: PortSets;
  private readonly mostBlockWords: number;
  private readonly sets = new InternedSets<Policy>();
  private readonly classes = new Map<PolicySet, EndpointClass>();
  private readonly ids = new Numbers(1);
  /** Identities of endpoints whose class changed since the last `settleInPieces`. */
  private readonly changed = new Set<Identity>();
  private fresh: PolicySet[] = [];
  /** Reused key of a group's rule: record, group. */
  private readonly ruleKey = [0, 0];
  /** By identity: its class. */
  readonly words = new GrowingWords();
  readonly directions = new GrowingWords();
  readonly groupRules: WordTable;
  readonly prefixes4: WordTable;
  readonly prefixes6: WordTable;

  /** @param mostBlockWords as in Budget */
  constructor(rules: PolicyRules, portSets: PortSets, seed: number, mostBlockWords: number) {
    this.mostBlockWords = mostBlockWords;
    this.rules = rules;
    this.portSets = portSets;
    this.groupRules = new WordTable(seed, 2);
    this.prefixes4 = new WordTable(seed, 2);
    this.prefixes6 = new WordTable(seed, 5);
    this.words.set(0, 0);
    // Class 0: no policy selects its endpoints.
    this.directions.setAll(0, new Int32Array(2 * DIRECTION_WORDS));
  }

  /** Adds an identity that has its first endpoint on this node. */
  add(identity: Identity): void {
    const policies: Policy[] = [];
    identity.namespace.policies.match(identity.labels, policies);
    identity.namespace.endpoints ??= new Set();
    identity.namespace.endpoints.add(identity);
    this.move(identity, this.sets.withAll(this.sets.empty, policies));
  }

  /** Removes an identity that has no endpoint on this node any more. */
  remove(identity: Identity): void {
    identity.namespace.endpoints?.delete(identity);
    this.move(identity, undefined);
  }

  /** Adds a policy that selects these identities. It must be newer than all policies before. */
  select(policy: Policy, identities: readonly Identity[]): void {
    for (const identity of identities) {
      this.move(identity, this.sets.with(identity.selectedBy ?? this.sets.empty, policy));
    }
  }

  /** Removes a policy that selected these identities. */
  unselect(policy: Policy, identities: readonly Identity[]): void {
    const without = new Map<PolicySet, PolicySet>();
    for (const { selectedBy } of identities) {
      if (selectedBy === undefined || without.has(selectedBy)) continue;
      without.set(
        selectedBy,
        this.sets.without(selectedBy, (member) => member === policy),
      );
    }
    for (const identity of identities) {
      this.move(identity, identity.selectedBy && without.get(identity.selectedBy));
    }
  }

  /**
   * Drops the classes without endpoints, and retains the policies of the new classes;
   * `settleInPieces` builds those.
   */
  *prepare(): Pieces {
    const left: PolicySet[] = [];
    yield* this.sets.settleInPieces(
      (policies) => left.push(policies),
      (policies) => this.fresh.push(policies),
    );
    // Retain, then release, so that a policy in both is not compiled anew.
    for (const policies of this.fresh) for (const policy of policies.members()) yield* this.rules.retain(policy);
    yield* inPieces(left, (policies) => this.drop(policies));
  }

  /** Removes the rules of a peer group that lost its last identity. */
  groupLeft(group: PeerGroup): void {
    for (const peer of group.members()) {
      for (const record of peer.opens.keys()) this.groupRules.delete(this.keyOf(record, group));
    }
  }

  /** Adds the rules of a peer group that got its first identity. */
  groupEntered(group: PeerGroup): void {
    const opened = new Map<number, number[]>();
    for (const peer of group.members()) {
      for (const [record, ports] of peer.opens) append(opened, record, ports);
    }
    for (const [record, ports] of opened) this.groupRules.set(this.keyOf(record, group), this.portSets.union(ports));
  }

  /** Builds the new classes. Peer groups must have settled. */
  *settleInPieces(): Pieces {
    for (const policies of this.fresh) {
      yield* this.build(policies);
      yield;
    }
    this.fresh = [];
    for (const identity of this.changed) this.words.set(identity.id, this.classOf(identity)?.id ?? 0);
    this.changed.clear();
  }

  /** Returns the class of an identity with endpoints; undefined if no policy selects it. */
  classOf({ selectedBy }: Identity): EndpointClass | undefined {
    return selectedBy && this.classes.get(selectedBy);
  }

  all(): IterableIterator<EndpointClass> {
    return this.classes.values();
  }

  /**
   * Returns the policies whose ipBlocks open nothing to some of their pods, because all policies of
   * such a pod have too many together.
   */
  tooMany(): Set<Policy> {
    const found = new Set<Policy>();
    for (const { policies, directions } of this.classes.values()) {
      directions.forEach(({ tooMany }, direction) => {
        if (!tooMany) return;
        for (const policy of policies)
          if (policy.rules?.[direction]?.some(({ blocks }) => blocks.length > 0)) found.add(policy);
      });
    }
    return found;
  }

  /** Adds the port sets in use to `live`. */
  markPortSets(live: Set<number>): void {
    for (const { directions } of this.classes.values()) {
      for (const { anyPeer, peers, prefixes } of directions) {
        live.add(anyPeer);
        for (const ports of peers.values()) live.add(ports);
        for (const { ports } of prefixes) live.add(ports);
      }
    }
    const rules = this.groupRules.words();
    for (let at = GROUP_RULE_WORDS - 1; at < rules.length; at += GROUP_RULE_WORDS) live.add(rules[at] as number);
  }

  private move(identity: Identity, policies: PolicySet | undefined): void {
    if (policies !== undefined) this.sets.use(policies);
    if (identity.selectedBy !== undefined) this.sets.unuse(identity.selectedBy);
    identity.selectedBy = policies;
    this.changed.add(identity);
  }

  private *build(set: PolicySet): Pieces {
    const id = this.ids.take();
    const policies = set.members();
    const egress = yield* this.buildDirection(id, policies, EGRESS);
    const ingress = yield* this.buildDirection(id, policies, INGRESS);
    this.classes.set(set, { id, policies, directions: [egress, ingress] });
  }

  private *buildDirection(
    id: number,
    policies: readonly Policy[],
    direction: DirectionIndex,
  ): Generator<undefined, ClassDirection> {
    const record = (2 * id + direction) * DIRECTION_WORDS;
    const selecting = policies.filter((policy) => policy.record.isolates.includes(directionName(direction)));
    const isolating = deciding(selecting, ({ mode }) => mode);
    const rules = isolating.flatMap((policy) => policy.rules?.[direction] ?? []);
    const anyPeer = this.portSets.union(rules.filter((rule) => rule.anyPeer).map(({ ports }) => ports));
    const blocks: Block[] = [];
    const opened = new Map<Peer, number[]>();
    for (const rule of rules) {
      // The rule opens nothing, or no more than `anyPeer` does.
      if (rule.ports === NO_PORTS || rule.ports === anyPeer || anyPeer === ALL_PORTS) continue;
      for (const block of rule.blocks) blocks.push(block);
      for (const peer of rule.peers) append(opened, peer, rule.ports);
    }
    const peers = new Map([...opened].map(([peer, ports]) => [peer, this.portSets.union(ports)]));
    const words = yield* wordsOfBlocks(blocks, this.mostBlockWords, (ports) => this.portSets.rangesOf(ports));
    const tooMany = words > this.mostBlockWords;
    const prefixes: PrefixPorts[] = [];
    if (!tooMany) yield* prefixPortsInPieces(blocks, this.portSets, prefixes);
    const built = { record, isolation: isolationBy(isolating), anyPeer, peers, prefixes, tooMany };
    this.enterDirection(built);
    yield* this.enterPeers(built);
    yield* inPieces(prefixes, (each) => this.enterPrefix(record, each));
    return built;
  }

  private enterDirection({ record, isolation, anyPeer }: ClassDirection): void {
    this.directions.setAll(record, new Int32Array(DIRECTION_WORDS));
    this.directions.set(record + ISOLATED, isolation);
    this.directions.set(record + ANY_PEER, anyPeer);
  }

  private *enterPeers({ record, peers }: ClassDirection): Pieces {
    for (const [peer, ports] of peers) peer.opens.set(record, ports);
    const [first] = peers;
    if (first !== undefined && peers.size === 1) {
      // One peer needs no union of port sets, and may be in every group, as one that matches all
      // pods.
      const [peer, ports] = first;
      yield* inPieces(peer.groups, (group) => this.groupRules.set(this.keyOf(record, group), ports));
      return;
    }
    const opened = new Map<PeerGroup, number[]>();
    yield* inPieces(peers, ([peer, ports]) => {
      for (const group of peer.groups) append(opened, group, ports);
    });
    let ranges = 0;
    for (const [group, ports] of opened) {
      const union = this.portSets.union(ports);
      this.groupRules.set(this.keyOf(record, group), union);
      ranges += 1 + this.portSets.rangesOf(union);
      if (ranges < RANGES_OF_PIECE) continue;
      ranges = 0;
      yield;
    }
  }

  /** Returns a key that is valid until the next call. */
  private keyOf(record: number, group: PeerGroup): readonly number[] {
    this.ruleKey[0] = record;
    this.ruleKey[1] = group.id;
    return this.ruleKey;
  }

  private enterPrefix(record: number, { address, length, ports }: PrefixPorts): void {
    const ipv4 = isIpv4(address);
    if (length === 0) {
      this.directions.set(record + (ipv4 ? WHOLE4 : WHOLE6), ports);
      return;
    }
    const lengths = record + (ipv4 ? LENGTHS4 : LENGTHS6) + ((length - 1) >>> 5);
    this.directions.set(lengths, this.directions.get(lengths) | (1 << ((length - 1) & 31)));
    // Port set 0 is a hole here, but value 0 marks a free entry of the table.
    (ipv4 ? this.prefixes4 : this.prefixes6).set([(record << 8) | length, ...address], ports + 1);
  }

  private drop(set: PolicySet): void {
    const dropped = this.classes.get(set);
    if (dropped === undefined) return;
    for (const { record, peers, prefixes } of dropped.directions) {
      for (const peer of peers.keys()) {
        peer.opens.delete(record);
        for (const group of peer.groups) this.groupRules.delete(this.keyOf(record, group));
      }
      for (const { address, length } of prefixes) {
        if (length === 0) continue;
        (isIpv4(address) ? this.prefixes4 : this.prefixes6).delete([(record << 8) | length, ...address]);
      }
      this.directions.setAll(record, new Int32Array(DIRECTION_WORDS));
    }
    for (const policy of dropped.policies) this.rules.release(policy);
    this.ids.giveBack(dropped.id);
    this.classes.delete(set);
  }
}

/** @param policies the deciding ones */
function isolationBy([first]: readonly Policy[]): number {
  if (first === undefined) return 0;
  return first.mode === 'audit' ? BY_AUDITED : BY_ENFORCED;
}

function append<K>(lists: Map<K, number[]>, key: K, value: number): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

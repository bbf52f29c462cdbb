/**
 * Peer groups: identities that the same peer selectors match are one group, and rules are kept for groups. However many pods
 * `namespaceSelector: {}` matches, it costs the table one entry for each group, and there are few: only the selectors of *relevant*
 * policies count, those that select an endpoint of this node.
 *
 * A new selector splits the groups of what it matches, a new identity or other namespace labels place the identities that they touch; the
 * rest stays where it is.
 *
 * A namespace whose record is not known (it arrives late, or never) matches no namespaceSelector, whatever its operators; podSelectors of
 * its own policies match as ever. Policies only ever allow, so matching less is the stricter verdict. Trying the selectors on assumed
 * labels would not be: `NotIn` and `DoesNotExist` match where labels are missing.
 */

import type { LabelSelector, PolicyPeer } from '../cluster/records.ts';
import { selectorKey } from '../cluster/selector.ts';
import { GrowingWords } from './growing-words.ts';
import type { Identities } from './identities.ts';
import { InternedSets } from './interned-sets.ts';
import { LabelIndex } from './label-index.ts';
import type { Identity, Namespace, Peer, PeerGroup, Scope } from './model.ts';
import { matches, requiredLabel, SelectorSet } from './selector-set.ts';

/** Up to this many identities of a namespace are tried one by one. */
const FEW_IDENTITIES = 64;
const EVERYTHING: LabelSelector = { matchLabels: {}, matchExpressions: [] };

export class PeerGroups {
  private readonly identities: Identities;
  private readonly maxRetired: number;
  private readonly sets = new InternedSets<Peer>();
  private readonly scopes = new Map<string, Scope>();
  private readonly clusterScopes = scopeSet();
  /** Not yet tried on the namespaces. */
  private freshScopes: Scope[] = [];
  /** Not yet tried on the identities. */
  private freshPeers: Peer[] = [];
  private readonly peers = new Map<string, Peer>();
  private readonly retired = new Set<Peer>();
  private readonly relabelled = new Set<Namespace>();
  private readonly unplaced = new Set<Identity>();
  /** Identities in a group, and how to find those with a label. */
  private placed = 0;
  private readonly labelled = new LabelIndex();
  private nextSerial = 0;
  private readonly matched: Peer[] = [];
  /** By identity: the id of its group. */
  readonly words = new GrowingWords();

  /** Up to `maxRetired` retired peers are kept: removing them looks at every identity, so they are removed together. */
  constructor(identities: Identities, maxRetired: number) {
    this.identities = identities;
    this.maxRetired = maxRetired;
    this.words.set(0, 0);
  }

  /** The peer of a rule in a policy of `namespace`, kept until it is released as often. It matches from the next `settle` on. */
  retain({ namespaceSelector, podSelector }: PolicyPeer, namespace: Namespace): Peer {
    const scopeKey = namespaceSelector === undefined ? `in ${namespace.name}` : `by ${selectorKey(namespaceSelector)}`;
    const key = `${scopeKey}\n${podSelector === undefined ? '' : selectorKey(podSelector)}`;
    let peer = this.peers.get(key);
    if (peer === undefined) {
      const scope = this.scope(scopeKey, namespace, namespaceSelector);
      peer = {
        key,
        serial: this.nextSerial++,
        scope,
        podSelector: podSelector ?? EVERYTHING,
        users: 0,
        groups: new Set(),
        opens: new Map(),
      };
      this.peers.set(key, peer);
      scope.peers.add(peer);
      this.freshPeers.push(peer);
    }
    if (peer.users++ === 0) this.retired.delete(peer);
    return peer;
  }

  release(peer: Peer): void {
    if (--peer.users === 0) this.retired.add(peer);
  }

  /** The identity is new. */
  add(identity: Identity): void {
    this.unplaced.add(identity);
  }

  /** The identity is gone. */
  remove(identity: Identity): void {
    this.unplaced.delete(identity);
    if (identity.group === undefined) return;
    this.sets.unuse(identity.group);
    this.labelled.remove(identity);
    this.placed--;
    identity.group = undefined;
  }

  /** The namespace has other labels, or none any more. */
  relabel(namespace: Namespace): void {
    this.relabelled.add(namespace);
  }

  /** Brings every identity into its group; tells which groups lost their last and which got their first. */
  settle(onLeft: (group: PeerGroup) => void, onEntered: (group: PeerGroup) => void): void {
    this.placeScopes();
    this.placeFreshPeers();
    for (const identity of this.unplaced) this.place(identity);
    this.unplaced.clear();
    this.settleSets(onLeft, onEntered);
    if (this.retired.size <= this.maxRetired) return;
    this.removeRetired();
    this.settleSets(onLeft, onEntered);
  }

  private settleSets(onLeft: (group: PeerGroup) => void, onEntered: (group: PeerGroup) => void): void {
    this.sets.settle(
      (group) => {
        onLeft(group);
        for (const peer of group.members()) peer.groups.delete(group);
      },
      (group) => {
        for (const peer of group.members()) peer.groups.add(group);
        onEntered(group);
      },
    );
  }

  private scope(key: string, namespace: Namespace, namespaceSelector: LabelSelector | undefined): Scope {
    let scope = this.scopes.get(key);
    if (scope === undefined) {
      scope = {
        key,
        namespace: namespaceSelector === undefined ? namespace : undefined,
        namespaceSelector: namespaceSelector ?? EVERYTHING,
        peers: new SelectorSet((peer) => peer.podSelector),
      };
      this.scopes.set(key, scope);
      if (scope.namespace === undefined) this.freshScopes.push(scope);
      else namespace.scopes.push(scope);
    }
    return scope;
  }

  /** Gives new scopes to the namespaces they match, and relabelled namespaces the scopes that match them now. */
  private placeScopes(): void {
    if (this.freshScopes.length > 0) {
      const fresh = scopeSet();
      for (const scope of this.freshScopes) {
        fresh.add(scope);
        this.clusterScopes.add(scope);
      }
      for (const namespace of this.identities.all()) {
        // A relabelled one gets all of its scopes below.
        if (namespace.labels !== undefined && !this.relabelled.has(namespace)) {
          fresh.match(namespace.labels, namespace.scopes);
        }
      }
      this.freshScopes = [];
    }
    for (const namespace of this.relabelled) {
      namespace.scopes = namespace.scopes.filter((scope) => scope.namespace !== undefined);
      if (namespace.labels !== undefined) this.clusterScopes.match(namespace.labels, namespace.scopes);
      for (const identity of namespace.identities.values()) this.unplaced.add(identity);
      this.identities.forgetIfEmpty(namespace);
    }
    this.relabelled.clear();
  }

  /** Splits groups: tries the fresh peers, in the order of their serials, on identities that are in a group already. */
  private placeFreshPeers(): void {
    if (this.placed > 0) for (const peer of this.freshPeers) this.placeFreshPeer(peer);
    this.freshPeers = [];
  }

  private placeFreshPeer(peer: Peer): void {
    const { namespace } = peer.scope;
    const required = requiredLabel(peer.podSelector);
    if (required === undefined || (namespace !== undefined && namespace.identities.size <= FEW_IDENTITIES)) {
      for (const each of namespace === undefined ? this.identities.all() : [namespace]) {
        if (each.scopes.includes(peer.scope)) this.split(each.identities.values(), peer);
      }
      return;
    }
    for (const value of required.values) {
      this.split(
        this.labelled.find(required.key, value, () => this.allPlaced()),
        peer,
      );
    }
  }

  private split(identities: Iterable<Identity>, peer: Peer): void {
    const { scope, podSelector } = peer;
    for (const identity of identities) {
      // One without a group is tried on all peers anyway.
      if (identity.group === undefined || !identity.namespace.scopes.includes(scope)) continue;
      if (matches(podSelector, identity.labels)) this.move(identity, this.sets.with(identity.group, peer));
    }
  }

  private *allPlaced(): Generator<Identity> {
    for (const namespace of this.identities.all()) {
      for (const identity of namespace.identities.values()) if (identity.group !== undefined) yield identity;
    }
  }

  /** Tries every peer that is looked for in the identity's namespace. */
  private place(identity: Identity): void {
    this.matched.length = 0;
    for (const scope of identity.namespace.scopes) scope.peers.match(identity.labels, this.matched);
    this.move(identity, this.sets.withAll(this.sets.empty, this.matched));
  }

  private move(identity: Identity, group: PeerGroup): void {
    if (identity.group === group) return;
    // In this order, so that a group which is left and entered at once keeps its id.
    this.sets.use(group);
    if (identity.group !== undefined) {
      this.sets.unuse(identity.group);
    } else {
      this.labelled.add(identity);
      this.placed++;
    }
    identity.group = group;
    this.words.set(identity.id, group.id);
  }

  private removeRetired(): void {
    const groups = new Set<PeerGroup>();
    const emptied = new Set<Scope>();
    for (const peer of this.retired) {
      for (const group of peer.groups) groups.add(group);
      this.peers.delete(peer.key);
      peer.scope.peers.delete(peer);
      if (peer.scope.peers.size === 0) emptied.add(peer.scope);
    }
    if (groups.size > 0) this.joinGroups(groups);
    if (emptied.size > 0) this.removeScopes(emptied);
    this.retired.clear();
  }

  /** Joins the groups that only retired peers kept apart. */
  private joinGroups(groups: ReadonlySet<PeerGroup>): void {
    const joined = new Map<PeerGroup, PeerGroup>();
    for (const group of groups) {
      const without = this.sets.without(group, (peer) => this.retired.has(peer));
      joined.set(group, without);
    }
    for (const identity of this.allPlaced()) {
      const group = joined.get(identity.group as PeerGroup);
      if (group !== undefined) this.move(identity, group);
    }
  }

  private removeScopes(emptied: ReadonlySet<Scope>): void {
    for (const scope of emptied) {
      this.scopes.delete(scope.key);
      if (scope.namespace === undefined) this.clusterScopes.delete(scope);
    }
    for (const namespace of this.identities.all()) {
      if (!namespace.scopes.some((scope) => emptied.has(scope))) continue;
      namespace.scopes = namespace.scopes.filter((scope) => !emptied.has(scope));
      this.identities.forgetIfEmpty(namespace);
    }
  }
}

function scopeSet(): SelectorSet<Scope> {
  return new SelectorSet((scope) => scope.namespaceSelector);
}

/**
 * Peer groups: identities that the same peer selectors match form one group, and rules are kept for
 * groups. However many pods `namespaceSelector: {}` matches, it costs the table one entry for each
 * group. There are few groups, because only the selectors of *relevant* policies count: those that
 * select an endpoint of this node.
 *
 * A new selector splits the groups of the identities that it matches. A new identity, or new labels
 * of a namespace, place only the identities that they concern. No other identity is looked at: the
 * rarest label that a selector requires leads to what it can match. The selector that matches every
 * pod, which many clusters use, exists from the beginning (`keepEverything`).
 *
 * A namespace whose record is unknown (it arrives late, or never) matches no namespaceSelector,
 * whatever the operators; the podSelectors of its own policies match as always. Policies only ever
 * allow, so matching less is the stricter verdict. Trying the selectors on assumed labels would not
 * be: `NotIn` and `DoesNotExist` match missing labels.
 */

import type { LabelSelector, PolicyPeer } from '../cluster/records.ts';
import { isEmptySelector, selectorKey } from '../cluster/selector.ts';
import { GrowingWords } from './growing-words.ts';
import type { Identities } from './identities.ts';
import { type InternedSet, InternedSets } from './interned-sets.ts';
import { LabelIndex } from './label-index.ts';
import { type Identity, type Namespace, NO_GROUP, type Peer, type PeerGroup, type Scope } from './model.ts';
import { inPieces, inPiecesOfAll, type Pieces } from './pieces.ts';
import { matches, SelectorSet } from './selector-set.ts';

/** This many identities move to other groups within a fraction of a millisecond. */
const FEW_IDENTITIES = 1000;
/**
 * Retired peers that match more than FEW_IDENTITIES are removed together, once there are more of
 * them than this: removing all is the same work as removing one. Few are kept, because each is a
 * member of every group that it matches, and makes every change of those groups more expensive.
 */
const MAX_RETIRED_SWEEPING = 7;
const EVERYTHING: LabelSelector = { matchLabels: {}, matchExpressions: [] };

export class PeerGroups {
  private readonly identities: Identities;
  private readonly maxRetired: number;
  private readonly sets = new InternedSets<Peer>();
  private readonly scopes = new Map<string, Scope>();
  private readonly scopeSets = new InternedSets<Scope>();
  private readonly clusterScopes = new SelectorSet<Scope>((scope) => scope.namespaceSelector);
  /** The scope of all namespaces whose record is known. */
  private everywhere: Scope | undefined;
  /** Scopes that were not tried on the namespaces yet. */
  private freshScopes: Scope[] = [];
  /** Peers that were not tried on the identities yet. */
  private freshPeers: Peer[] = [];
  private readonly peers = new Map<string, Peer>();
  /**
   * Retired peers: those that matched few identities, the oldest first, and those that matched
   * many.
   */
  private readonly retired = new Set<Peer>();
  private readonly retiredSweeping = new Set<Peer>();
  /** Peers whose last user was released since the last settling; they may be in use again. */
  private released: Peer[] = [];
  private readonly relabelled = new Set<Namespace>();
  private readonly unplaced = new Set<Identity>();
  /** Number of identities in a group. */
  private placed = 0;
  private readonly labelled = new LabelIndex<Identity>();
  private readonly labelledNamespaces = new LabelIndex<Namespace>();
  /** Serial number of the next peer or scope. */
  private nextSerial = 0;
  private readonly matched: Peer[] = [];
  /** By identity: the id of its group. */
  readonly words = new GrowingWords();

  /**
   * Keeps up to `maxRetired` retired peers, but few that match much: whoever removes a policy may
   * bring it back.
   */
  constructor(identities: Identities, maxRetired: number) {
    this.identities = identities;
    this.maxRetired = maxRetired;
    this.words.set(0, 0);
  }

  /**
   * Keeps the peer that matches every pod, so that the first policy that names it need not move
   * every identity to another group.
   */
  keepEverything(): void {
    this.retainIn(this.scope('by ', undefined, EVERYTHING), EVERYTHING);
  }

  /**
   * Returns the peer of a rule in a policy of `namespace`, valid until released as often as
   * retained. It matches nothing before the next settling.
   */
  retain(peer: PolicyPeer, namespace: Namespace): Peer {
    const { namespaceSelector, podSelector } = peer;
    const key = scopeKey(peer, namespace.name);
    const scope =
      namespaceSelector === undefined
        ? this.scope(key, namespace, EVERYTHING)
        : this.scope(key, undefined, namespaceSelector);
    return this.retainIn(scope, podSelector ?? EVERYTHING);
  }

  release(peer: Peer): void {
    if (--peer.users === 0) this.released.push(peer);
  }

  /** Returns the group of an identity; undefined until selectors were tried on it. */
  groupOf({ group }: Identity): PeerGroup | undefined {
    return group === NO_GROUP ? undefined : this.sets.withId(group);
  }

  /** Adds an identity without a group. It may have been added already, for another of its pods. */
  add(identity: Identity): void {
    if (this.unplaced.has(identity)) return;
    this.labelled.add(identity, identity.labels);
    this.unplaced.add(identity);
  }

  /** Removes an identity from its group and from the index. */
  remove(identity: Identity): void {
    this.unplaced.delete(identity);
    this.labelled.remove(identity, identity.labels);
    const group = this.groupOf(identity);
    if (group === undefined) return;
    this.sets.unuse(group);
    this.placed--;
    identity.group = NO_GROUP;
  }

  /** Takes note that the namespace has other labels, or none any more. */
  relabel(namespace: Namespace): void {
    const { labels, indexed } = namespace;
    if (indexed !== undefined) this.labelledNamespaces.remove(namespace, indexed);
    if (labels !== undefined) this.labelledNamespaces.add(namespace, labels);
    namespace.indexed = labels;
    this.relabelled.add(namespace);
  }

  /**
   * Returns how many identities a peer of a policy in `namespace` can match, or somewhat more, by
   * the labels that its selectors require. Right at any time, and for identities without a group,
   * too. Changes by at most 1 with each move that `Identities.moves` counts.
   * @param scopes caches the counts of namespaceSelectors, for calls without a change in between
   */
  countCandidates(peer: PolicyPeer, namespace: Namespace, scopes: Map<string, number>): number {
    const { namespaceSelector, podSelector = EVERYTHING } = peer;
    const labelled = this.labelled.count(podSelector) ?? this.identities.size;
    if (namespaceSelector === undefined) return Math.min(labelled, namespace.identities.size);
    const key = scopeKey(peer, namespace.name);
    let inScope = scopes.get(key);
    if (inScope === undefined) {
      inScope = this.identitiesBy(namespaceSelector);
      scopes.set(key, inScope);
    }
    return Math.min(labelled, inScope);
  }

  /** Returns how many namespaces the peer's namespaceSelector can match, or somewhat more. */
  countNamespaces({ namespaceSelector = EVERYTHING }: PolicyPeer): number {
    return this.labelledNamespaces.count(namespaceSelector) ?? this.identities.labelledNamespaces;
  }

  /** Returns the number of identities in the namespaces that the selector matches. */
  private identitiesBy(namespaceSelector: LabelSelector): number {
    const found = this.labelledNamespaces.candidates(namespaceSelector, Number.POSITIVE_INFINITY)?.lists();
    let count = 0;
    for (const list of found ?? [this.identities.all()]) {
      for (const { labels, identities } of list)
        if (labels !== undefined && matches(namespaceSelector, labels)) count += identities.size;
    }
    return count;
  }

  /**
   * Brings every identity into its group, and reports the groups that lost their last identity and
   * those that got their first. It yields after each piece; until the last one, nothing here may be
   * read or changed.
   */
  *settleInPieces(onLeft: (group: PeerGroup) => void, onEntered: (group: PeerGroup) => void): Pieces {
    yield* this.placeScopes();
    yield* this.placeFreshPeers();
    yield* inPieces(this.unplaced, (identity) => this.place(identity));
    this.unplaced.clear();
    yield* this.settleSets(onLeft, onEntered);
    yield* this.retire();
    const gone = this.tooManyRetired();
    if (gone.size === 0) return;
    yield* this.removePeers(gone);
    yield* this.settleSets(onLeft, onEntered);
  }

  private *settleSets(onLeft: (group: PeerGroup) => void, onEntered: (group: PeerGroup) => void): Pieces {
    yield* this.sets.settleInPieces(
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

  private retainIn(scope: Scope, podSelector: LabelSelector): Peer {
    const key = keyIn(scope.key, podSelector);
    let peer = this.peers.get(key);
    if (peer === undefined) {
      const serial = this.nextSerial++;
      peer = { key, serial, scope, podSelector, users: 0, groups: new Set(), opens: new Map() };
      this.peers.set(key, peer);
      scope.peers.add(peer);
      this.freshPeers.push(peer);
    }
    if (peer.users++ === 0) {
      this.retired.delete(peer);
      this.retiredSweeping.delete(peer);
    }
    return peer;
  }

  private scope(key: string, namespace: Namespace | undefined, namespaceSelector: LabelSelector): Scope {
    let scope = this.scopes.get(key);
    if (scope === undefined) {
      const serial = this.nextSerial++;
      scope = { key, serial, namespace, namespaceSelector, peers: new SelectorSet((peer) => peer.podSelector) };
      this.scopes.set(key, scope);
      if (namespace !== undefined) namespace.ownScope = scope;
      else if (isEmptySelector(namespaceSelector)) this.everywhere = scope;
      else this.freshScopes.push(scope);
    }
    return scope;
  }

  private isLookedFor(scope: Scope, namespace: Namespace): boolean {
    if (scope === this.everywhere) return namespace.labels !== undefined;
    return scope === namespace.ownScope || (namespace.scopes?.has(scope) ?? false);
  }

  /**
   * Gives new scopes to the namespaces that they match, and relabelled namespaces the scopes that
   * match them now.
   */
  private *placeScopes(): Pieces {
    for (const scope of this.freshScopes) {
      this.clusterScopes.add(scope);
      yield* inPiecesOfAll(this.namespacesOf(scope), (namespace) => {
        const { labels, scopes = this.scopeSets.empty } = namespace;
        if (labels === undefined || !matches(scope.namespaceSelector, labels)) return;
        this.setScopes(namespace, this.scopeSets.with(scopes, scope));
      });
      yield;
    }
    this.freshScopes = [];
    yield* inPieces(this.relabelled, (namespace) => {
      const { labels } = namespace;
      const scopes: Scope[] = [];
      if (labels !== undefined) this.clusterScopes.match(labels, scopes);
      this.setScopes(namespace, this.scopeSets.withAll(this.scopeSets.empty, scopes));
      for (const identity of namespace.identities.values()) this.unplaced.add(identity);
      this.identities.forgetIfEmpty(namespace);
    });
    this.relabelled.clear();
    yield* this.scopeSets.settleInPieces(ignore, ignore);
  }

  private setScopes(namespace: Namespace, scopes: InternedSet<Scope>): void {
    const after = scopes === this.scopeSets.empty ? undefined : scopes;
    if (after === namespace.scopes) return;
    // Use, then unuse, as in `move`.
    if (after !== undefined) this.scopeSets.use(after);
    if (namespace.scopes !== undefined) this.scopeSets.unuse(namespace.scopes);
    namespace.scopes = after;
  }

  /**
   * Splits groups: tries the fresh peers, in the order of their serials, on identities with a
   * group. Each identity moves once, however many of them match it.
   */
  private *placeFreshPeers(): Pieces {
    /** By identity: the group that it moves to. */
    const targets: PeerGroup[] = [];
    const moving: Identity[] = [];
    for (const peer of this.placed > 0 ? this.freshPeers : []) {
      const { scope, podSelector } = peer;
      yield* this.inCandidatesOf(peer, (identity) => {
        // An identity without a group is tried on all peers anyway.
        if (!this.isLookedFor(scope, identity.namespace)) return;
        const group = targets[identity.id] ?? this.groupOf(identity);
        if (group === undefined || !matches(podSelector, identity.labels)) return;
        if (targets[identity.id] === undefined) moving.push(identity);
        targets[identity.id] = this.sets.with(group, peer);
      });
      yield;
    }
    this.freshPeers = [];
    yield* inPieces(moving, (identity) => this.move(identity, targets[identity.id] as PeerGroup));
  }

  /**
   * Visits every identity that the peer can match, and more: those of its namespaces if they have
   * few, those with a label that it requires if they are less than half of all, otherwise all.
   */
  private *inCandidatesOf({ scope, podSelector }: Peer, work: (identity: Identity) => void): Pieces {
    const labelled = this.labelled.candidates(podSelector);
    const enough = Math.min(labelled?.count ?? this.placed, Math.ceil(this.placed / 4));
    if (this.identitiesIn(scope, enough) < enough) {
      yield* inPiecesOfAll(identitiesOf(this.namespacesOf(scope)), work);
    } else if (labelled !== undefined && labelled.count < this.placed / 2) {
      yield* inPiecesOfAll(labelled.lists(), work);
    } else {
      yield* inPieces(this.identities.allIdentities(), (identity) => identity && work(identity));
    }
  }

  /**
   * Returns how many identities are in the namespaces that the scope can match; `enough` if these
   * are too many to count.
   */
  private identitiesIn(scope: Scope, enough: number): number {
    if (scope.namespace !== undefined) return scope.namespace.identities.size;
    const namespaces = this.labelledNamespaces.candidates(scope.namespaceSelector);
    if (namespaces === undefined || namespaces.count >= enough) return enough;
    let count = 0;
    for (const list of namespaces.lists()) for (const { identities } of list) count += identities.size;
    return count;
  }

  /**
   * Returns every namespace that the scope can match, and more. The result can be iterated once.
   */
  private namespacesOf({ namespace, namespaceSelector }: Scope): readonly Iterable<Namespace>[] {
    if (namespace !== undefined) return [[namespace]];
    return this.labelledNamespaces.candidates(namespaceSelector)?.lists() ?? [this.identities.all()];
  }

  /** Tries every peer that selects pods in the identity's namespace. */
  private place(identity: Identity): void {
    const { namespace, labels } = identity;
    this.matched.length = 0;
    if (namespace.labels !== undefined) this.everywhere?.peers.match(labels, this.matched);
    namespace.ownScope?.peers.match(labels, this.matched);
    for (let set = namespace.scopes; set?.last !== undefined; set = set.parent)
      set.last.peers.match(labels, this.matched);
    this.move(identity, this.sets.withAll(this.sets.empty, this.matched));
  }

  private move(identity: Identity, group: PeerGroup): void {
    const before = this.groupOf(identity);
    if (before === group) return;
    // Use, then unuse, so that a group that is left and entered at once keeps its id.
    this.sets.use(group);
    if (before !== undefined) this.sets.unuse(before);
    else this.placed++;
    identity.group = group.id;
    this.words.set(identity.id, group.id);
  }

  /** Retires the released peers that are still without users. */
  private *retire(): Pieces {
    yield* inPieces(this.released, (peer) => {
      if (peer.users === 0) (matchesMuch(peer) ? this.retiredSweeping : this.retired).add(peer);
    });
    this.released = [];
  }

  /**
   * Returns the retired peers to remove: the oldest of those that match little, and all that match
   * much if these are too many.
   */
  private tooManyRetired(): Set<Peer> {
    const { retired, retiredSweeping, maxRetired } = this;
    const gone = new Set<Peer>();
    let tooMany = retired.size - maxRetired;
    for (const peer of retired) {
      if (tooMany-- <= 0) break;
      if (!matchesMuch(peer)) {
        gone.add(peer);
        continue;
      }
      // It matches much by now, because pods were added after it retired.
      retired.delete(peer);
      retiredSweeping.add(peer);
    }
    if (retiredSweeping.size > Math.min(maxRetired, MAX_RETIRED_SWEEPING))
      for (const peer of retiredSweeping) gone.add(peer);
    return gone;
  }

  private *removePeers(gone: ReadonlySet<Peer>): Pieces {
    yield* this.joinGroups(gone);
    const emptied = new Set<Scope>();
    for (const peer of gone) {
      this.retired.delete(peer);
      this.retiredSweeping.delete(peer);
      this.peers.delete(peer.key);
      peer.scope.peers.delete(peer);
      if (peer.scope.peers.size === 0) emptied.add(peer.scope);
    }
    if (emptied.size > 0) yield* this.removeScopes(emptied);
  }

  /** Joins the groups that only these peers kept apart. */
  private *joinGroups(gone: ReadonlySet<Peer>): Pieces {
    const joined = new Map<PeerGroup, PeerGroup>();
    const all = [...gone].map(({ groups }) => groups);
    yield* inPiecesOfAll(all, (group) => {
      if (!joined.has(group))
        joined.set(
          group,
          this.sets.without(group, (peer) => gone.has(peer)),
        );
    });
    for (const peer of gone) {
      // Skip it if another of these peers has moved all identities of its groups.
      if (![...peer.groups].some(({ users }) => users > 0)) continue;
      yield* this.inCandidatesOf(peer, (identity) => {
        const group = this.groupOf(identity);
        const after = group && joined.get(group);
        if (after !== undefined) this.move(identity, after);
      });
      yield;
    }
  }

  private *removeScopes(emptied: ReadonlySet<Scope>): Pieces {
    const left = new Map<InternedSet<Scope>, InternedSet<Scope>>();
    const leave = (namespace: Namespace): void => {
      const { scopes } = namespace;
      if (scopes === undefined) return;
      let kept = left.get(scopes);
      if (kept === undefined) {
        kept = this.scopeSets.without(scopes, (scope) => emptied.has(scope));
        left.set(scopes, kept);
      }
      this.setScopes(namespace, kept);
    };
    let unfound = false;
    for (const scope of emptied) {
      this.scopes.delete(scope.key);
      if (scope === this.everywhere) {
        this.everywhere = undefined;
        continue;
      }
      if (scope.namespace !== undefined) {
        scope.namespace.ownScope = undefined;
        this.identities.forgetIfEmpty(scope.namespace);
        continue;
      }
      this.clusterScopes.delete(scope);
      const found = this.labelledNamespaces.candidates(scope.namespaceSelector);
      if (found === undefined) unfound = true;
      else yield* inPiecesOfAll(found.lists(), leave);
    }
    // Once, however many scopes need it.
    if (unfound) yield* inPieces(this.identities.all(), leave);
    yield* this.scopeSets.settleInPieces(ignore, ignore);
  }
}

/** Returns a key that is equal for peers that match the same pods. */
export function peerKey(peer: PolicyPeer, namespace: string): string {
  return keyIn(scopeKey(peer, namespace), peer.podSelector ?? EVERYTHING);
}

/** Returns a key that is equal for peers that select pods in the same namespaces. */
export function scopeKey({ namespaceSelector }: PolicyPeer, namespace: string): string {
  return namespaceSelector === undefined ? `in ${namespace}` : `by ${selectorKey(namespaceSelector)}`;
}

function keyIn(scope: string, podSelector: LabelSelector): string {
  return `${scope}\n${selectorKey(podSelector)}`;
}

function* identitiesOf(lists: Iterable<Iterable<Namespace>>): Generator<Iterable<Identity>> {
  for (const namespaces of lists) for (const { identities } of namespaces) yield identities.values();
}

/** Nothing has to be updated when sets of scopes come and go. */
function ignore(): void {}

function matchesMuch({ groups }: Peer): boolean {
  let identities = 0;
  for (const { users } of groups) {
    identities += users;
    if (identities > FEW_IDENTITIES) return true;
  }
  return false;
}

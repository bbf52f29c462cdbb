/**
 * Peer groups: identities that the same peer selectors match are one group, and rules are kept for groups. However many pods
 * `namespaceSelector: {}` matches, it costs the table one entry for each group, and there are few: only the selectors of *relevant*
 * policies count, those that select an endpoint of this node.
 *
 * A new selector splits the groups of what it matches, a new identity or other namespace labels place the identities that they touch; the
 * rest stays where it is, and is not looked at: what a selector can match is found by the rarest label that it requires. The one selector
 * that matches every pod, and that many clusters have, is there from the beginning (`keepEverything`).
 *
 * A namespace whose record is not known (it arrives late, or never) matches no namespaceSelector, whatever its operators; podSelectors of
 * its own policies match as ever. Policies only ever allow, so matching less is the stricter verdict. Trying the selectors on assumed
 * labels would not be: `NotIn` and `DoesNotExist` match where labels are missing.
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

/** That many are put into other groups within a fraction of a millisecond. */
const FEW_IDENTITIES = 1000;
/**
 * Retired peers that match more than that are removed all at once when they are more: that is the same work for all of them together as for one.
 * Few are kept, because each is a member of all the groups that it matches, and makes every change of those dearer.
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
  /** Not yet tried on the namespaces. */
  private freshScopes: Scope[] = [];
  /** Not yet tried on the identities. */
  private freshPeers: Peer[] = [];
  private readonly peers = new Map<string, Peer>();
  /** Retired peers that matched few identities when they retired, who retired first to begin with; and those that matched many. */
  private readonly retired = new Set<Peer>();
  private readonly retiredSweeping = new Set<Peer>();
  /** Their last user was released since the last `settle`, and may have come back. */
  private released: Peer[] = [];
  private readonly relabelled = new Set<Namespace>();
  private readonly unplaced = new Set<Identity>();
  /** Identities in a group. */
  private placed = 0;
  private readonly labelled = new LabelIndex<Identity>();
  private readonly labelledNamespaces = new LabelIndex<Namespace>();
  /** Of peers and scopes. */
  private nextSerial = 0;
  private readonly matched: Peer[] = [];
  /** By identity: the id of its group. */
  readonly words = new GrowingWords();

  /** Up to `maxRetired` retired peers are kept, of those that match much a few: whoever takes a policy away may bring it back. */
  constructor(identities: Identities, maxRetired: number) {
    this.identities = identities;
    this.maxRetired = maxRetired;
    this.words.set(0, 0);
  }

  /** Keeps the peer of every pod, so that the first policy that names it needs not put every identity into another group. */
  keepEverything(): void {
    this.retainIn(this.scope('by ', undefined, EVERYTHING), EVERYTHING);
  }

  /** The peer of a rule in a policy of `namespace`, kept until it is released as often. It matches from when that is settled next on. */
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

  /** The group of an identity, undefined until selectors were tried on it. */
  groupOf({ group }: Identity): PeerGroup | undefined {
    return group === NO_GROUP ? undefined : this.sets.withId(group);
  }

  /** The identity has no group; another of its pods may have brought it already. */
  add(identity: Identity): void {
    if (this.unplaced.has(identity)) return;
    this.labelled.add(identity, identity.labels);
    this.unplaced.add(identity);
  }

  /** The identity is gone. */
  remove(identity: Identity): void {
    this.unplaced.delete(identity);
    this.labelled.remove(identity, identity.labels);
    const group = this.groupOf(identity);
    if (group === undefined) return;
    this.sets.unuse(group);
    this.placed--;
    identity.group = NO_GROUP;
  }

  /** The namespace has other labels, or none any more. */
  relabel(namespace: Namespace): void {
    const { labels, indexed } = namespace;
    if (indexed !== undefined) this.labelledNamespaces.remove(namespace, indexed);
    if (labels !== undefined) this.labelledNamespaces.add(namespace, labels);
    namespace.indexed = labels;
    this.relabelled.add(namespace);
  }

  /**
   * How many identities a peer of a policy in `namespace` can match, and some more: found by the labels that its selectors require. Right at any time, for identities that are in no
   * group yet too. Changes by 1 at most with each move that `Identities.moves` counts.
   * @param scopes what was found of namespaceSelectors by then: for others asked at the same time
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

  /** How many namespaces the peer's namespaceSelector can match, and some more. */
  countNamespaces({ namespaceSelector = EVERYTHING }: PolicyPeer): number {
    return this.labelledNamespaces.count(namespaceSelector) ?? this.identities.labelledNamespaces;
  }

  /** Identities in the namespaces that the selector matches. */
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
   * Brings every identity into its group; tells which groups lost their last and which got their first. It stops after each piece of the work,
   * and until the last one is done nothing here may be asked or changed.
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

  /** Gives new scopes to the namespaces they match, and relabelled namespaces the scopes that match them now. */
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
    // In this order, as in `move`.
    if (after !== undefined) this.scopeSets.use(after);
    if (namespace.scopes !== undefined) this.scopeSets.unuse(namespace.scopes);
    namespace.scopes = after;
  }

  /** Splits groups: tries the fresh peers, in the order of their serials, on identities that are in a group already. */
  private *placeFreshPeers(): Pieces {
    for (const peer of this.placed > 0 ? this.freshPeers : []) {
      yield* this.placeFreshPeer(peer);
      yield;
    }
    this.freshPeers = [];
  }

  private *placeFreshPeer(peer: Peer): Pieces {
    const { scope, podSelector } = peer;
    yield* this.inCandidatesOf(peer, (identity) => {
      // One without a group is tried on all peers anyway.
      if (!this.isLookedFor(scope, identity.namespace)) return;
      const group = this.groupOf(identity);
      if (group === undefined) return;
      if (matches(podSelector, identity.labels)) this.move(identity, this.sets.with(group, peer));
    });
  }

  /**
   * Every identity that the peer can match, and more: those of the namespaces where these have few, those with a label that it requires where these are
   * less than half of all, else simply all.
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

  /** Identities in the namespaces that the scope can match; not counted further than `enough`. */
  private identitiesIn(scope: Scope, enough: number): number {
    if (scope.namespace !== undefined) return scope.namespace.identities.size;
    const namespaces = this.labelledNamespaces.candidates(scope.namespaceSelector);
    if (namespaces === undefined || namespaces.count >= enough) return enough;
    let count = 0;
    for (const list of namespaces.lists()) for (const { identities } of list) count += identities.size;
    return count;
  }

  /** Every namespace that the scope can match, and more. Can be walked once. */
  private namespacesOf({ namespace, namespaceSelector }: Scope): readonly Iterable<Namespace>[] {
    if (namespace !== undefined) return [[namespace]];
    return this.labelledNamespaces.candidates(namespaceSelector)?.lists() ?? [this.identities.all()];
  }

  /** Tries every peer that is looked for in the identity's namespace. */
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
    // In this order, so that a group which is left and entered at once keeps its id.
    this.sets.use(group);
    if (before !== undefined) this.sets.unuse(before);
    else this.placed++;
    identity.group = group.id;
    this.words.set(identity.id, group.id);
  }

  /** Notes the peers that nobody took up again. */
  private *retire(): Pieces {
    yield* inPieces(this.released, (peer) => {
      if (peer.users === 0) (matchesMuch(peer) ? this.retiredSweeping : this.retired).add(peer);
    });
    this.released = [];
  }

  /** Of those that match little, who retired first. */
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
      // By now, with pods that came after it was retired.
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
      // Another one of them may have led to all of its groups' identities.
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
    // However many they are, once.
    if (unfound) yield* inPieces(this.identities.all(), leave);
    yield* this.scopeSets.settleInPieces(ignore, ignore);
  }
}

/** The same for peers that match the same: of rules in policies of one namespace, or of any where there is a namespaceSelector. */
export function peerKey(peer: PolicyPeer, namespace: string): string {
  return keyIn(scopeKey(peer, namespace), peer.podSelector ?? EVERYTHING);
}

/** The same for peers of policies in one namespace that look for pods in the same namespaces. */
export function scopeKey({ namespaceSelector }: PolicyPeer, namespace: string): string {
  return namespaceSelector === undefined ? `in ${namespace}` : `by ${selectorKey(namespaceSelector)}`;
}

function keyIn(scope: string, podSelector: LabelSelector): string {
  return `${scope}\n${selectorKey(podSelector)}`;
}

function* identitiesOf(lists: Iterable<Iterable<Namespace>>): Generator<Iterable<Identity>> {
  for (const namespaces of lists) for (const { identities } of namespaces) yield identities.values();
}

/** Nobody keeps anything by sets of scopes. */
function ignore(): void {}

function matchesMuch({ groups }: Peer): boolean {
  let identities = 0;
  for (const { users } of groups) {
    identities += users;
    if (identities > FEW_IDENTITIES) return true;
  }
  return false;
}

import { describe, expect, test } from 'vitest';
import type { Labels, PolicyPeer } from '../../src/cluster/records.ts';
import { Identities } from '../../src/policy/identities.ts';
import type { Identity, Peer } from '../../src/policy/model.ts';
import { PeerGroups } from '../../src/policy/peer-groups.ts';
import { finish } from '../../src/policy/pieces.ts';
import { PortNames } from '../../src/policy/port-names.ts';
import { matching } from './records.ts';

const MAX_RETIRED = 2;

/** Peer groups, and what a test does with them. */
function cluster() {
  const identities = new Identities(new PortNames());
  const groups = new PeerGroups(identities, MAX_RETIRED);
  const namespace = identities.namespace('default');
  identities.setLabels(namespace, { team: 'a' });
  groups.relabel(namespace);
  const told: string[] = [];
  return {
    groups,
    identities,
    namespace,
    told,
    identity(labels: Labels): Identity {
      const identity = identities.retain(namespace, labels, []);
      if (groups.groupOf(identity) === undefined) groups.add(identity);
      return identity;
    },
    remove(identity: Identity): void {
      identities.release(identity);
      identities.settle((each) => groups.remove(each));
    },
    retain: (peer: PolicyPeer) => groups.retain(peer, namespace),
    membersOf: (identity: Identity | undefined) => identity && groups.groupOf(identity)?.members(),
    release: (peer: Peer) => groups.release(peer),
    scopes: () => [namespace.ownScope, ...(namespace.scopes?.members() ?? [])].filter((scope) => scope !== undefined),
    settle(): void {
      told.length = 0;
      const pieces = groups.settleInPieces(
        (group) => told.push(`left ${group.members().length}`),
        (group) => told.push(`entered ${group.members().length}`),
      );
      finish(pieces);
    },
  };
}

const web: PolicyPeer = { podSelector: matching({ app: 'web' }) };
const without = (key: string) => ({
  ...matching(),
  matchExpressions: [{ key, operator: 'DoesNotExist' as const, values: [] }],
});
const webAnywhere: PolicyPeer = { podSelector: matching({ app: 'web' }), namespaceSelector: matching() };

describe('a group contains what the same peers match', () => {
  test('a new peer splits the groups of what it matches, and touches no other', () => {
    const { groups, identity, membersOf, retain, settle, told } = cluster();
    const [front, back, other] = [
      identity({ app: 'web', v: '1' }),
      identity({ app: 'web', v: '2' }),
      identity({ app: 'db' }),
    ];
    settle();
    expect(told).toEqual([]);
    const peer = retain(web);
    settle();
    expect(told).toEqual(['entered 1']);
    expect(groups.groupOf(front)).toBe(groups.groupOf(back));
    expect(membersOf(front)).toEqual([peer]);
    expect(membersOf(other)).toEqual([]);
  });

  test('a peer in another spelling is the same peer', () => {
    const { retain } = cluster();
    const spelled = { matchLabels: {}, matchExpressions: [{ key: 'app', operator: 'In' as const, values: ['web'] }] };
    expect(retain({ podSelector: spelled })).toBe(retain(web));
    expect(retain(webAnywhere)).not.toBe(retain(web));
  });

  test('identities that come after a lookup by label are found by the next peer', () => {
    const { identity, membersOf, retain, settle } = cluster();
    identity({ app: 'web' });
    settle();
    retain(webAnywhere);
    settle();
    const late = identity({ app: 'web', tier: 'late' });
    settle();
    const next = retain({ ...webAnywhere, namespaceSelector: matching({ team: 'a' }) });
    settle();
    expect(membersOf(late)).toContain(next);
  });

  test('and identities that went are not', () => {
    const { identity, remove, retain, settle, told } = cluster();
    const gone = identity({ app: 'web' });
    identity({ app: 'db' });
    settle();
    retain(webAnywhere);
    settle();
    remove(gone);
    settle();
    expect(told).toEqual(['left 1']);
    retain({ ...webAnywhere, namespaceSelector: matching({ team: 'a' }) });
    settle();
    expect(told).toEqual([]);
  });
});

test('a namespace whose labels changed is searched once', () => {
  const { groups, identities, identity, membersOf, namespace, retain, scopes, settle } = cluster();
  const some = identity({ app: 'web' });
  settle();
  identities.setLabels(namespace, { team: 'b' });
  groups.relabel(namespace);
  settle();
  const either = { ...matching(), matchExpressions: [{ key: 'team', operator: 'In' as const, values: ['a', 'b'] }] };
  const peer = retain({ namespaceSelector: either });
  settle();
  expect(scopes()).toEqual([peer.scope]);
  expect(membersOf(some)).toEqual([peer]);
});

test('namespaces that the same selectors match share one set of scopes, whenever they came', () => {
  const { groups, identities, namespace, retain, settle } = cluster();
  retain({ namespaceSelector: matching({ team: 'a' }) });
  settle();
  const later = identities.namespace('later');
  identities.setLabels(later, { team: 'a', env: 'test' });
  groups.relabel(later);
  settle();
  expect(later.scopes?.members()).toHaveLength(1);
  expect(later.scopes).toBe(namespace.scopes);
});

test('a namespace with nothing but peers is forgotten with the last of them', () => {
  const { groups, identities, namespace, release, retain, settle } = cluster();
  const peers = ['1', '2', '3'].map((v) => retain({ podSelector: matching({ v }) }));
  settle();
  identities.setLabels(namespace, undefined);
  groups.relabel(namespace);
  settle();
  expect([...identities.all()]).toEqual([namespace]);
  // More peers than are kept, in a namespace that stays.
  const other = identities.namespace('other');
  identities.setLabels(other, {});
  const others = ['1', '2', '3'].map((v) => groups.retain({ podSelector: matching({ v }) }, other));
  for (const peer of [...peers, ...others]) release(peer);
  settle();
  expect([...identities.all()]).toEqual([other]);
});

describe('retired peers', () => {
  test('that are used again are still known', () => {
    const { identity, release, retain, settle, told } = cluster();
    identity({ app: 'web' });
    const peer = retain(web);
    settle();
    release(peer);
    settle();
    expect(retain(web)).toBe(peer);
    settle();
    expect(told).toEqual([]);
  });

  test('are removed when there are many, the longest retired first, and their groups are joined', () => {
    const { groups, identity, membersOf, release, retain, scopes, settle } = cluster();
    const [front, back] = [identity({ app: 'web', v: '1' }), identity({ app: 'web', v: '2' })];
    const stays = retain(web);
    const first = ['1', '2'].map((v) =>
      retain({ podSelector: matching({ v }), namespaceSelector: matching({ team: 'a' }) }),
    );
    const last = ['3', '4'].map((v) => retain({ podSelector: matching({ v }) }));
    settle();
    expect(groups.groupOf(front)).not.toBe(groups.groupOf(back));
    expect(scopes()).toHaveLength(2);
    for (const peer of first) release(peer);
    settle();
    expect(groups.groupOf(front)).not.toBe(groups.groupOf(back));
    for (const peer of last) release(peer);
    settle();
    expect(groups.groupOf(front)).toBe(groups.groupOf(back));
    expect(membersOf(front)).toEqual([stays]);
    expect(scopes()).toEqual([stays.scope]);
    expect(retain({ podSelector: matching({ v: '4' }) })).toBe(last[1]);
  });

  test('that match much are removed all at once when there are many, and no others with them', () => {
    const { identity, membersOf, release, retain, settle } = cluster();
    const many = Array.from({ length: 1001 }, (_, i) => identity({ app: 'web', v: `${i}` }));
    const sweeping = ['a', 'b', 'c', 'd'].map((key) => retain({ podSelector: without(key) }));
    const one = retain({ podSelector: matching({ v: '0' }) });
    settle();
    const known = () => membersOf(many[0]);
    release(one);
    for (const peer of sweeping.slice(0, MAX_RETIRED)) release(peer);
    settle();
    expect(known()).toEqual([...sweeping, one]);
    release(sweeping[2] as Peer);
    settle();
    expect(known()).toEqual([sweeping[3], one]);
    expect(retain({ podSelector: without('a') })).not.toBe(sweeping[0]);
  });

  test('that have come to match much are kept with those that did from the beginning', () => {
    const { identity, membersOf, release, retain, settle } = cluster();
    const first = identity({ app: 'web' });
    const grown = retain({ podSelector: without('a') });
    const others = ['1', '2'].map((v) => retain({ podSelector: matching({ v }) }));
    settle();
    release(grown);
    settle();
    for (let i = 0; i < 1001; i++) identity({ app: 'web', n: `${i}` });
    settle();
    for (const peer of others) release(peer);
    settle();
    // Three are more than may be retired, and it retired first.
    expect(membersOf(first)).toEqual([grown]);
    expect(retain({ podSelector: matching({ v: '1' }) })).toBe(others[0]);
  });

  test('that match much are not removed while a policy uses them again', () => {
    const { identity, membersOf, release, retain, settle } = cluster();
    const many = Array.from({ length: 1001 }, (_, i) => identity({ app: 'web', v: `${i}` }));
    const sweeping = ['a', 'b', 'c'].map((key) => retain({ podSelector: without(key) }));
    settle();
    release(sweeping[0] as Peer);
    settle();
    expect(retain({ podSelector: without('a') })).toBe(sweeping[0]);
    // Released and retained again by one change.
    release(sweeping[0] as Peer);
    expect(retain({ podSelector: without('a') })).toBe(sweeping[0]);
    for (const peer of sweeping.slice(1)) release(peer);
    settle();
    expect(membersOf(many[0])).toEqual(sweeping);
  });

  test('with a selector that requires no label are removed from everything that they matched', () => {
    const { identity, membersOf, release, retain, scopes, settle } = cluster();
    const front = identity({ app: 'web' });
    const peers = ['x', 'y', 'z'].map((key) => retain({ podSelector: without(key), namespaceSelector: without(key) }));
    settle();
    expect(membersOf(front)).toEqual(peers);
    for (const peer of peers) release(peer);
    settle();
    expect(membersOf(front)).toEqual(peers.slice(1));
    expect(scopes()).toEqual(peers.slice(1).map(({ scope }) => scope));
  });
});

describe('the peer of every pod', () => {
  const everyPod: PolicyPeer = { namespaceSelector: matching() };

  test('matches from the beginning, so that a policy with it changes no group', () => {
    const { groups, identity, membersOf, retain, settle, told } = cluster();
    groups.keepEverything();
    const some = identity({ app: 'web' });
    settle();
    const peer = retain(everyPod);
    settle();
    expect(told).toEqual([]);
    expect(membersOf(some)).toEqual([peer]);
  });

  test('matches in a namespace from when its record is known until it is deleted', () => {
    const { groups, identities, identity, membersOf, namespace, retain, settle } = cluster();
    const label = (labels: Labels | undefined) => {
      identities.setLabels(namespace, labels);
      groups.relabel(namespace);
      settle();
    };
    groups.keepEverything();
    label(undefined);
    const some = identity({ app: 'web' });
    settle();
    expect(membersOf(some)).toEqual([]);
    retain(webAnywhere);
    settle();
    expect(membersOf(some)).toEqual([]);
    label({});
    expect(membersOf(some)).toHaveLength(2);
    label(undefined);
    expect(membersOf(some)).toEqual([]);
  });
});

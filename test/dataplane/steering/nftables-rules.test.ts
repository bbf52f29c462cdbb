import { describe, expect, test } from 'vitest';
import { parseTable } from '../../../src/dataplane/steering/nftables.ts';
import {
  type PresentTable,
  renderNftChains,
  renderTransaction,
} from '../../../src/dataplane/steering/nftables-rules.ts';
import type { SteeringState } from '../../../src/dataplane/steering/state.ts';
import { STATE } from './kinds.ts';

function rulesOf(state: SteeringState, beforeRouting = false): Record<string, string[]> {
  return Object.fromEntries(
    renderNftChains(state, beforeRouting).map(({ name, rules }) => [name, rules.map(({ text }) => text)]),
  );
}

const SETS = { steered4: new Set(['10.0.0.1']), steered6: new Set<string>() };

/** Returns the table as it looks with `state` and SETS in place. */
function inPlace(state: SteeringState): PresentTable {
  const chains = renderNftChains(state).map(
    ({ name, hook, rules }) => [name, { hook, comments: rules.map(({ comment }) => comment) }] as const,
  );
  return { chains: new Map(chains), sets: new Map(Object.entries(SETS)) };
}

describe('nftables rules', () => {
  test('for offload, reject and fail closed on several queues', () => {
    expect(rulesOf({ ...STATE, deny: 'reject' })).toEqual({
      answer: [
        'meta mark set meta mark & 0xfcffffff',
        'meta l4proto tcp reject with tcp reset',
        'reject with icmpx admin-prohibited',
      ],
      denied: ['meta mark & 0x2000000 == 0x2000000 jump answer'],
      postrouting: [
        'meta mark & 0x3000000 == 0 accept',
        'meta mark & 0x2000000 == 0x2000000 drop',
        'meta mark & 0x1000000 == 0x1000000 ct mark set ct mark | 0x1000000',
        'meta mark set meta mark & 0xfcffffff',
      ],
      forward: [
        'meta mark set meta mark & 0xfeffffff',
        'ct mark & 0x1000000 == 0x1000000 accept',
        'ip saddr @steered4 queue to 100-101',
        'ip daddr @steered4 queue to 100-101',
        'ip6 saddr @steered6 queue to 100-101',
        'ip6 daddr @steered6 queue to 100-101',
      ],
    });
  });

  test('copy each packet once, except those of established connections, and do nothing else', () => {
    const copies = [
      'ip saddr @steered4 log group 7 snaplen 128 queue-threshold 1 return',
      'ip daddr @steered4 log group 7 snaplen 128 queue-threshold 1 return',
      'ip6 saddr @steered6 log group 7 snaplen 128 queue-threshold 1 return',
      'ip6 daddr @steered6 log group 7 snaplen 128 queue-threshold 1 return',
    ];
    expect(rulesOf({ ...STATE, deny: 'reject', copiesTo: 7 })).toEqual({
      forward: ['ct state established return', 'meta l4proto { icmp, ipv6-icmp } ct state related return', ...copies],
    });
    expect(rulesOf({ ...STATE, offload: false, copiesTo: 7 })).toEqual({
      forward: ['ct state established continue', ...copies],
    });
  });

  test('without offload accept only ICMP errors of judged flows; with fail open one queue without a reader is bypassed', () => {
    expect(rulesOf({ ...STATE, offload: false, fail: 'open', queues: { first: 5, count: 1 } })).toEqual({
      postrouting: [
        'meta mark & 0x3000000 == 0 accept',
        'meta mark & 0x1000000 == 0x1000000 ct mark set ct mark | 0x1000000',
        'meta mark set meta mark & 0xfcffffff',
      ],
      forward: [
        'meta mark set meta mark & 0xfeffffff',
        'meta l4proto { icmp, ipv6-icmp } ct state related ct mark & 0x1000000 == 0x1000000 accept',
        'ip saddr @steered4 queue flags bypass to 5',
        'ip daddr @steered4 queue flags bypass to 5',
        'ip6 saddr @steered6 queue flags bypass to 5',
        'ip6 daddr @steered6 queue flags bypass to 5',
      ],
    });
  });

  describe('for judging the first packets of translated UDP flows before routing', () => {
    const first = 'meta l4proto udp ct state new ct status dnat';
    const queued = ['ip saddr @steered4', 'ip daddr @steered4', 'ip6 saddr @steered6', 'ip6 daddr @steered6'].map(
      (match) => `${match} queue to 100-101`,
    );
    const cleared = 'meta mark set meta mark & 0xfeffffff';
    const judged = 'ct mark & 0x1000000 == 0x1000000 accept';

    test('queue them before routing, and save the judged bit to the connection mark', () => {
      const { forward, 'first-packet': firstPacket, ...others } = rulesOf(STATE, true);
      expect(firstPacket).toEqual([cleared, 'fib daddr type != unicast accept', judged, ...queued]);
      expect(others).toMatchObject({
        prerouting: [`${first} jump first-packet`],
        'prerouting-judged': [`${first} meta mark & 0x1000000 == 0x1000000 ct mark set ct mark | 0x1000000 ${cleared}`],
      });
      expect(forward).toEqual(rulesOf(STATE).forward);
    });

    test('do not queue them again in forward without offload, nor if they are rejected', () => {
      const rules = rulesOf({ ...STATE, offload: false, deny: 'reject' }, true);
      expect(rules['first-packet']).toEqual([cleared, 'fib daddr type != unicast accept', ...queued]);
      expect(rules.forward).toEqual([
        cleared,
        `meta l4proto { icmp, ipv6-icmp } ct state related ${judged}`,
        `${first} ${judged}`,
        `${first} meta mark & 0x2000000 == 0x2000000 accept`,
        ...queued,
      ]);
    });

    test('are left out if packets are only copied', () => {
      expect(rulesOf({ ...STATE, copiesTo: 7 }, true)).toEqual(rulesOf({ ...STATE, copiesTo: 7 }));
    });
  });

  test('have comments that differ when the rules do, within the kernel’s 128 characters', () => {
    const comments = (state: SteeringState) =>
      renderNftChains(state).flatMap(({ rules }) => rules.map(({ comment }) => comment));
    const [closed, open] = [
      comments({ ...STATE, deny: 'reject' }),
      comments({ ...STATE, deny: 'reject', fail: 'open' }),
    ];
    expect(closed.filter((comment) => !open.includes(comment))).toHaveLength(4);
    for (const comment of closed) expect(comment.length).toBeLessThanOrEqual(128);
  });
});

describe('the transaction', () => {
  test('is empty if everything is in place', () => {
    expect(renderTransaction(inPlace(STATE), renderNftChains(STATE), SETS)).toBe('');
  });

  test('touches only the chain and the elements that differ', () => {
    const state = { ...STATE, offload: false, deny: 'reject' } as const;
    const lines = renderTransaction(inPlace(state), renderNftChains({ ...state, fail: 'open' }), {
      ...SETS,
      steered6: new Set(['fd00::1']),
    });
    expect(lines.match(/^(add|delete|flush) \w+ inet podfence \w+/gm)).toEqual([
      'add element inet podfence steered6',
      'flush chain inet podfence forward',
      ...Array(6).fill('add rule inet podfence forward'),
    ]);
  });

  test('adds the chains before routing to a table without them, and touches nothing else', () => {
    const lines = renderTransaction(inPlace(STATE), renderNftChains(STATE, true), SETS);
    expect([...new Set(lines.match(/^\w+ \w+ inet podfence \S+/gm))]).toEqual([
      'add chain inet podfence first-packet',
      'add rule inet podfence first-packet',
      'add chain inet podfence prerouting',
      'add rule inet podfence prerouting',
      'add chain inet podfence prerouting-judged',
      'add rule inet podfence prerouting-judged',
    ]);
  });

  test('removes chains that are not wanted', () => {
    const lines = renderTransaction(inPlace({ ...STATE, deny: 'reject' }), renderNftChains(STATE), SETS);
    for (const name of ['answer', 'denied']) expect(lines).toContain(`delete chain inet podfence ${name}\n`);
  });

  test('replaces the whole table if a hook or a set cannot be altered', () => {
    const present = inPlace(STATE);
    const forward = { hook: { hook: 'forward', priority: 0 }, comments: [] };
    const cases: PresentTable[] = [
      { ...present, chains: new Map(present.chains).set('forward', forward) },
      { ...present, sets: new Map<string, Set<string> | undefined>(Object.entries(SETS)).set('older', undefined) },
    ];
    for (const other of cases) {
      const lines = renderTransaction(other, renderNftChains(STATE), SETS);
      expect(lines).toMatch(/^add table inet podfence\ndelete table inet podfence\nadd table inet podfence\nadd set/);
      expect(lines).toContain(
        'add chain inet podfence forward { type filter hook forward priority -150; policy accept; }',
      );
    }
  });
});

test('a table is parsed from nft’s JSON', () => {
  const nftables = [
    { metainfo: { version: '1.0.6' } },
    { table: { family: 'inet', name: 'podfence' } },
    { set: { name: 'steered4', type: 'ipv4_addr', elem: ['10.0.0.1'] } },
    { set: { name: 'steered6', type: 'ipv6_addr' } },
    { set: { name: 'older', type: 'ipv4_addr' } },
    { chain: { name: 'forward', type: 'filter', hook: 'forward', prio: -150, policy: 'accept' } },
    { chain: { name: 'answer' } },
    { rule: { chain: 'forward', comment: 'one', expr: [] } },
    { rule: { chain: 'forward', expr: [] } },
  ];
  expect(parseTable(JSON.stringify({ nftables }))).toEqual({
    chains: new Map([
      ['forward', { hook: { hook: 'forward', priority: -150 }, comments: ['one', ''] }],
      ['answer', { hook: undefined, comments: [] }],
    ]),
    sets: new Map([
      ['steered4', new Set(['10.0.0.1'])],
      ['steered6', new Set()],
      ['older', undefined],
    ]),
  });
});

import { describe, expect, test } from 'vitest';
import { type Chain, jumpOf, renderChains } from '../../../src/dataplane/steering/iptables-rules.ts';
import { STATE } from './kinds.ts';

/** Returns the rules as `iptables-save` lists them, without tables. */
function listed(chains: readonly Chain[]): string[] {
  return chains.flatMap((chain) => [
    `-A ${chain.hook} ${jumpOf(chain)}`,
    ...chain.rules.map((rule) => `-A ${chain.name} ${rule}`),
  ]);
}

describe('iptables rules', () => {
  test('for offload, reject and fail closed on several queues', () => {
    expect(listed(renderChains(4, { ...STATE, deny: 'reject' }, 'mangle'))).toEqual([
      '-A FORWARD -m mark --mark 0x2000000/0x2000000 -j PODFENCE-REJECT',
      '-A PODFENCE-REJECT -j MARK --set-xmark 0x0/0x3000000',
      '-A PODFENCE-REJECT -p tcp -j REJECT --reject-with tcp-reset',
      '-A PODFENCE-REJECT -j REJECT --reject-with icmp-admin-prohibited',
      '-A POSTROUTING -m mark ! --mark 0x0/0x3000000 -j PODFENCE-POSTROUTING',
      '-A PODFENCE-POSTROUTING -m mark --mark 0x2000000/0x2000000 -j DROP',
      '-A PODFENCE-POSTROUTING -m mark --mark 0x1000000/0x1000000 -j CONNMARK --save-mark --nfmask 0x1000000 --ctmask 0x1000000',
      '-A PODFENCE-POSTROUTING -j MARK --set-xmark 0x0/0x3000000',
      '-A FORWARD -j PODFENCE-FORWARD',
      '-A PODFENCE-FORWARD -j MARK --set-xmark 0x0/0x1000000',
      '-A PODFENCE-FORWARD -m connmark --mark 0x1000000/0x1000000 -j RETURN',
      '-A PODFENCE-FORWARD -m set --match-set podfence-steered-4 src -j NFQUEUE --queue-balance 100:101',
      '-A PODFENCE-FORWARD -m set --match-set podfence-steered-4 dst -j NFQUEUE --queue-balance 100:101',
    ]);
  });

  test('without offload accept only ICMP errors of judged flows; with fail open one queue without a reader is bypassed', () => {
    const state = { ...STATE, offload: false, fail: 'open', queues: { first: 5, count: 1 } } as const;
    expect(listed(renderChains(6, state, 'mangle'))).toEqual([
      '-A POSTROUTING -m mark ! --mark 0x0/0x3000000 -j PODFENCE-POSTROUTING',
      '-A PODFENCE-POSTROUTING -m mark --mark 0x1000000/0x1000000 -j CONNMARK --save-mark --nfmask 0x1000000 --ctmask 0x1000000',
      '-A PODFENCE-POSTROUTING -j MARK --set-xmark 0x0/0x3000000',
      '-A FORWARD -j PODFENCE-FORWARD',
      '-A PODFENCE-FORWARD -j MARK --set-xmark 0x0/0x1000000',
      '-A PODFENCE-FORWARD -p ipv6-icmp -m conntrack --ctstate RELATED -m connmark --mark 0x1000000/0x1000000 -j RETURN',
      '-A PODFENCE-FORWARD -m set --match-set podfence-steered-6 src -j NFQUEUE --queue-num 5 --queue-bypass',
      '-A PODFENCE-FORWARD -m set --match-set podfence-steered-6 dst -j NFQUEUE --queue-num 5 --queue-bypass',
    ]);
  });

  test('copy each packet once, except those of established connections, and do nothing else', () => {
    expect(listed(renderChains(6, { ...STATE, deny: 'reject', copiesTo: 7 }, 'mangle'))).toEqual([
      '-A FORWARD -j PODFENCE-FORWARD',
      '-A PODFENCE-FORWARD -m conntrack --ctstate ESTABLISHED -j RETURN',
      '-A PODFENCE-FORWARD -p ipv6-icmp -m conntrack --ctstate RELATED -j RETURN',
      '-A PODFENCE-FORWARD -m set --match-set podfence-steered-6 src -j NFLOG --nflog-group 7 --nflog-size 128 --nflog-threshold 1',
      '-A PODFENCE-FORWARD -m set ! --match-set podfence-steered-6 src -m set --match-set podfence-steered-6 dst -j NFLOG --nflog-group 7 --nflog-size 128 --nflog-threshold 1',
    ]);
  });

  test('without offload copy all packets, and have connections tracked', () => {
    expect(listed(renderChains(4, { ...STATE, offload: false, copiesTo: 7 }, 'mangle'))).toEqual([
      '-A FORWARD -j PODFENCE-FORWARD',
      '-A PODFENCE-FORWARD -m conntrack --ctstate ESTABLISHED',
      '-A PODFENCE-FORWARD -m set --match-set podfence-steered-4 src -j NFLOG --nflog-group 7 --nflog-size 128 --nflog-threshold 1',
      '-A PODFENCE-FORWARD -m set ! --match-set podfence-steered-4 src -m set --match-set podfence-steered-4 dst -j NFLOG --nflog-group 7 --nflog-size 128 --nflog-threshold 1',
    ]);
  });

  test('for IPv6 answer with the ICMPv6 code', () => {
    const rules = renderChains(6, { ...STATE, deny: 'reject' }, 'mangle').flatMap((chain) => chain.rules);
    expect(rules).toContain('-j REJECT --reject-with icmp6-adm-prohibited');
  });

  test('with the highest bit of the mark print it unsigned', () => {
    const mark = { judged: 0x80000000, reject: 1, mask: 0x80000001 };
    expect(listed(renderChains(4, { ...STATE, mark }, 'mangle')).join('\n')).toContain(
      '--mark 0x80000000/0x80000000 -j RETURN',
    );
  });

  test('are in the table security, unless a reject has to come later or packets are copied', () => {
    const tablesOf = (state: Partial<typeof STATE>) =>
      renderChains(4, { ...STATE, ...state }, 'security').map(({ table, hook }) => `${table} ${hook}`);
    expect(tablesOf({})).toEqual(['security FORWARD', 'mangle POSTROUTING']);
    expect(tablesOf({ deny: 'reject' })).toEqual(['filter FORWARD', 'mangle POSTROUTING', 'mangle FORWARD']);
    expect(tablesOf({ copiesTo: 7 })).toEqual(['mangle FORWARD']);
  });
});

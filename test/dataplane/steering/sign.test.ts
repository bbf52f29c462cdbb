/** The sign beside the rules, and what the next agent concludes from it. */
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { findPredecessor } from '../../../src/dataplane/steering/predecessor.ts';
import { system } from '../../../src/dataplane/steering/run.ts';
import { parseIpsetSign, parseNftSign } from '../../../src/dataplane/steering/sign.ts';
import { Netns } from '../../../src/sys/netns.ts';
import { kinds, STATE } from './kinds.ts';
import { needsRoot, root, shell } from './pods.ts';

describe('a sign', () => {
  const CREATED = 'create podfence-sign hash:ip family inet hashsize 64 maxelem 1 timeout 2147483 comment\n';
  const nft = (...elem: readonly unknown[]) =>
    JSON.stringify({ nftables: [{ metainfo: {} }, { set: { name: 'steered4' } }, { set: { name: 'sign', elem } }] });

  it('is parsed from the output of ipset save', () => {
    const entry = 'add podfence-sign 127.0.0.1 timeout 2147472 comment "judging"\n';
    expect(parseIpsetSign(CREATED + entry)).toEqual({ word: 'judging', secondsAgo: 11 });
    expect(parseIpsetSign(CREATED)).toBeUndefined();
    expect(parseIpsetSign(CREATED + entry.replace('judging', 'singing'))).toBeUndefined();
  });

  it('is parsed from nft’s JSON', () => {
    const elem = { val: '127.0.0.1', timeout: 2_147_483, expires: 2_147_480, comment: 'stopped' };
    expect(parseNftSign(nft({ elem }))).toEqual({ word: 'stopped', secondsAgo: 3 });
    expect(parseNftSign(nft())).toBeUndefined();
    expect(parseNftSign(nft('127.0.0.1'))).toBeUndefined();
    expect(parseNftSign('{"nftables":[]}')).toBeUndefined();
  });
});

describe.skipIf(!root)(`an earlier agent${needsRoot}`, () => {
  let netns: Netns;
  beforeEach(() => {
    netns = Netns.create();
  });
  afterEach(() => netns.close());

  test('is not found if there are no rules', async () => {
    expect(await findPredecessor(system(netns))).toBeUndefined();
  });

  for (const { name, skipped, make } of kinds)
    describe.skipIf(skipped)(name, () => {
      test('is known by its rules, and by its sign, which stays when the next one applies the same and is no damage', async () => {
        const state = { ...STATE, steeredIPv4: ['10.0.0.1'] };
        const steering = make(netns);
        await steering.sign('judging');
        expect(await findPredecessor(system(netns))).toBeUndefined();
        await steering.apply(state);
        expect(await findPredecessor(system(netns))).toMatchObject({ sign: undefined });
        for (const word of ['judging', 'judging', 'stopped'] as const) {
          await steering.sign(word);
          expect((await findPredecessor(system(netns)))?.sign).toMatchObject({ word });
        }
        await make(netns).apply(state);
        expect(await steering.findDamage()).toEqual([]);
        const { found = [], sign } = (await findPredecessor(system(netns))) ?? {};
        expect(sign?.word).toBe('stopped');
        expect(sign?.secondsAgo).toBeLessThan(60);
        const expected = {
          nftables: ['nftables, table inet podfence'],
          iptables: ['chain PODFENCE-FORWARD', 'chain PODFENCE-POSTROUTING', 'set podfence-steered-4'],
        };
        for (const part of expected[steering.kind]) expect(found.join('\n')).toContain(part);
        expect(found.join()).not.toContain('sign');
        await steering.remove();
        expect(await findPredecessor(system(netns))).toBeUndefined();
        expect(shell(netns, 'ipset list -name; nft list tables inet')).not.toContain('podfence');
      });

      test('that only copied, or ran with --fail open, drops nothing while it is gone', async () => {
        await make(netns).apply({ ...STATE, copiesTo: 100 });
        expect((await findPredecessor(system(netns)))?.meanwhile).toBe('passed');
        await make(netns).apply({ ...STATE, fail: 'open' });
        expect((await findPredecessor(system(netns)))?.meanwhile).toBe('passed');
        // Where the kernel has no queue for nftables, another rule takes its place.
        if (name.includes('replaced')) return;
        await make(netns).apply(STATE);
        expect((await findPredecessor(system(netns)))?.meanwhile).toBe('dropped');
      });
    });
});

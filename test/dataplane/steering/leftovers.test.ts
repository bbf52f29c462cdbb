/** Finds and removes the rules of an earlier process. */
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { groupsOf, isQueueing, queuesOf, removeQueueing } from '../../../src/dataplane/steering/leftovers.ts';
import { system } from '../../../src/dataplane/steering/run.ts';
import { Netns } from '../../../src/sys/netns.ts';
import { kinds, STATE } from './kinds.ts';
import { needsRoot, root, shell } from './pods.ts';

describe('the queues that a listing names', () => {
  it.each([
    ['ip saddr @steered4 queue to 9464-9466 comment "steered source [0a1b2c3d]"', [9464, 9465, 9466]],
    ['ip saddr @steered4 queue flags bypass to 7', [7]],
    ['ip saddr @steered4 queue num 3-4 bypass', [3, 4]],
    ['-m set --match-set podfence-steered-4 src -j NFQUEUE --queue-balance 100:101 --queue-bypass', [100, 101]],
    ['-m set --match-set podfence-steered-4 dst -j NFQUEUE --queue-num 0', [0]],
    ['ip saddr @steered4 log group 9464 snaplen 128 queue-threshold 1 return', []],
  ])('%s', (listing, queues) => {
    expect(queuesOf(listing)).toEqual(queues);
  });
});

describe('the groups that a listing names', () => {
  it.each([
    ['ip saddr @steered4 log group 9464 snaplen 128 queue-threshold 1 return', [9464]],
    ['-m set --match-set podfence-steered-4 src -j NFLOG --nflog-group 9464 --nflog-size 128', [9464]],
    ['-m set --match-set podfence-steered-4 src -j NFLOG --nflog-size 128 --nflog-threshold 1', [0]],
    ['-m set --match-set podfence-steered-4 src -j NFQUEUE --queue-num 1', []],
  ])('%s', (listing, groups) => {
    expect(groupsOf(listing)).toEqual(groups);
  });
});

describe.skipIf(!root)(`queueing rules without a reader${needsRoot}`, () => {
  let netns: Netns;
  beforeEach(() => {
    netns = Netns.create();
  });
  afterEach(() => netns.close());

  // The legacy tools write the time of day into comments.
  const everything = () =>
    shell(netns, 'nft list ruleset; iptables-legacy-save; ip6tables-legacy-save; ipset save').replaceAll(
      /^#.*\n/gm,
      '',
    );

  for (const { name, skipped, make } of kinds)
    describe.skipIf(skipped)(name, () => {
      test('are taken away with all that belongs to them, and nothing is left to take away', async () => {
        await make(netns).apply({ ...STATE, steeredIPv4: ['10.0.0.1'], deny: 'reject' });
        expect(await removeQueueing(system(netns))).toBe(true);
        expect(everything()).not.toMatch(/podfence/i);
        expect(await isQueueing(system(netns))).toBe(false);
        expect(await removeQueueing(system(netns))).toBe(false);
      });

      test('are not those that hand over copies: they stay', async () => {
        await make(netns).apply({ ...STATE, steeredIPv4: ['10.0.0.1'], copiesTo: 100 });
        const before = everything();
        expect(await removeQueueing(system(netns))).toBe(false);
        expect(everything()).toBe(before);
      });
    });
});

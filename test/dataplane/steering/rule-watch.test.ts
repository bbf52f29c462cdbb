/** Changes that other software makes to the rules, as the kernel reports them, and their repair. */
import { describe, expect, test } from 'vitest';
import { Netns } from '../../../src/sys/netns.ts';
import { type Command, kinds, recording, STATE } from './kinds.ts';
import { needsRoot, root, shell } from './pods.ts';

const ISOLATED = { steeredIPv4: ['10.0.0.1'], steeredIPv6: ['fd00::1'] };

const IPTABLES = [
  { by: 'iptables-nft -t security -F', what: [/-FORWARD is empty/, /to PODFENCE-FORWARD is gone/] },
  { by: 'iptables-nft -t mangle -F', what: [/-POSTROUTING is empty/, /to PODFENCE-POSTROUTING is gone/] },
  {
    by: 'iptables-nft -t security -D FORWARD -j PODFENCE-FORWARD',
    what: [/jump from FORWARD to PODFENCE-FORWARD is gone/],
  },
  {
    by: 'iptables-nft -t security -I PODFENCE-FORWARD -j ACCEPT',
    what: [/chain PODFENCE-FORWARD has other rules/],
  },
  {
    by: 'ip6tables-nft -t security -F PODFENCE-FORWARD',
    what: [/^ip6tables, table security: chain PODFENCE-FORWARD is empty/],
  },
  {
    by: 'nft delete table ip security',
    what: [/table security: chain .* is gone/, /table security: the jump .* is gone/],
  },
  // Removed and added again.
  {
    by: 'iptables-nft -t security -D FORWARD -j PODFENCE-FORWARD; iptables-nft -t security -A FORWARD -j PODFENCE-FORWARD',
    what: [],
  },
];
const NFTABLES = [
  { by: 'nft flush ruleset', what: [/table inet podfence is gone/] },
  { by: 'nft flush chain inet podfence forward', what: [/chain forward is empty/] },
  { by: 'nft flush set inet podfence steered4', what: [/set steered4 was changed/] },
  { by: 'nft add rule inet podfence postrouting accept', what: [/chain postrouting has other rules/] },
];

describe.skipIf(!root)(`what other software does to the rules${needsRoot}`, () => {
  const cases = kinds
    .filter(({ skipped, name }) => !skipped && !name.includes('legacy'))
    .flatMap((kind) => (kind.name.startsWith('iptables') ? IPTABLES : NFTABLES).map((each) => ({ ...kind, ...each })));

  test.each(cases)(
    '$name: "$by" is reported at once and repaired, by one run of a tool per family',
    async ({ make, by, what }) => {
      using node = Netns.create();
      const commands: Command[] = [];
      const steering = make(node, recording(commands));
      const told = Promise.withResolvers<void>();
      node.run(() => steering.watch(told.resolve));
      await steering.apply({ ...STATE, ...ISOLATED });
      commands.length = 0;
      shell(node, by);
      await told.promise;
      const damage = await steering.restoreTold();
      expect(damage?.length).toBe(what.length);
      for (const [index, words] of what.entries()) expect(damage?.[index]?.what).toMatch(words);
      expect(commands.length).toBe(what.length === 0 ? 0 : 1);
      expect(await steering.findDamage()).toEqual([]);
      expect(await steering.restoreTold(), 'what it did itself').toBeUndefined();
      steering.unwatch();
    },
  );

  test.each(kinds.filter(({ skipped }) => !skipped))('$name: its own changes are not reported', async ({ make }) => {
    using node = Netns.create();
    const steering = make(node);
    let told = 0;
    node.run(() => steering.watch(() => told++));
    for (const deny of ['drop', 'reject'] as const) await steering.apply({ ...STATE, ...ISOLATED, deny });
    await steering.setSteered(['10.0.0.2'], []);
    await steering.sign('judging');
    await steering.remove();
    expect(await steering.restoreTold()).toBeUndefined();
    expect(told).toBe(0);
    steering.unwatch();
  });

  test('is not reported for legacy iptables, and the steering says so', async () => {
    using node = Netns.create();
    const legacy = kinds.find(({ name }) => name.includes('legacy'));
    const steering = legacy?.make(node);
    node.run(() => steering?.watch(() => undefined));
    await steering?.apply({ ...STATE, ...ISOLATED });
    expect(steering?.told).toBe('nothing');
    shell(node, 'iptables-legacy -t security -F');
    expect(await steering?.restoreTold()).toBeUndefined();
    expect((await steering?.findDamage())?.length).toBe(2);
    steering?.unwatch();
  });
});

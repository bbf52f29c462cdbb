/**
 * What every kind of steering writes into a real kernel and removes again, read back with the
 * tools' own listings.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SteeringKind, SteeringState } from '../../../src/dataplane/steering/state.ts';
import { Netns } from '../../../src/sys/netns.ts';
import { type Command, type Kind, kinds, recording, STATE } from './kinds.ts';
import { needsRoot, root, shell } from './pods.ts';

const state: SteeringState = {
  ...STATE,
  steeredIPv4: ['10.0.0.1', '10.0.0.2'],
  steeredIPv6: ['fd00::1', 'fd00:0:0::2'],
  deny: 'reject',
};

const SETS = 'sets:';

/**
 * Returns all rules of all kinds with their handles, and all sets, without packet counters and the
 * order of a set's addresses.
 */
function everything(netns: Netns): string {
  const saves = ['iptables-nft-save', 'ip6tables-nft-save', 'iptables-legacy-save', 'ip6tables-legacy-save'];
  const saved = shell(netns, `nft -a list ruleset; ${saves.join('; ')}; echo '${SETS}'; ipset save`);
  const [text = '', setText = ''] = saved.split(`${SETS}\n`);
  const sets = setText
    .replace(/ initval \S+/g, '')
    .split('\n')
    .sort();
  return [text.replace(/packets \d+ bytes \d+|\[\d+:\d+\]|^#.*\n/gm, ''), ...sets].join('\n');
}

/**
 * Returns the same without what depends on the order of creation: handles, and the order of chains.
 */
function contents(netns: Netns): string[] {
  const text = everything(netns).replace(/ # handle \d+/g, '');
  const end = text.search(/^\*/m);
  const chains = text.slice(0, end).split(/\n\n|\n(?=table)|(?<=^table.*\n)|\n(?=\})/m);
  // A chain's rules keep their order, because the sort is stable.
  const chainOf = (line: string) => /^-A \S+/.exec(line)?.[0] ?? line;
  const lines = text.slice(end).split('\n');
  return [...chains.map((chain) => chain.trim()).sort(), ...lines.sort((a, b) => compare(chainOf(a), chainOf(b)))];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Creates foreign rules, and iptables' empty tables, which exist once iptables has been used. They
 * must not count as left by steering.
 */
const FOREIGN = `
  for v in nft legacy; do for f in iptables ip6tables; do $f-$v-restore --noflush <<END
*mangle
-A FORWARD -m mark --mark 0x1/0xff -j ACCEPT
-A POSTROUTING -j MARK --set-xmark 0x10/0x10
COMMIT
*filter
:FOREIGN - [0:0]
-A FORWARD -j FOREIGN
COMMIT
*security
-A FORWARD -m mark --mark 0x2/0xff -j ACCEPT
COMMIT
END
  done; done
  ipset restore <<END
create foreign hash:ip
add foreign 10.9.9.9
END
  nft -f - <<END
add table inet foreign
add chain inet foreign forward { type filter hook forward priority -150; }
add rule inet foreign forward meta mark 7 counter drop
END`;

/** What other software does to podfence's rules, and the damage that is then reported. */
const FLUSHES: Readonly<Record<SteeringKind, Readonly<Record<string, readonly string[]>>>> = {
  nftables: {
    'nft flush ruleset': ['nftables, table inet podfence is gone'],
    'nft flush chain inet podfence forward': ['nftables, table inet podfence: chain forward is empty'],
    'nft insert rule inet podfence postrouting accept': [
      'nftables, table inet podfence: chain postrouting has other rules',
    ],
    'nft add chain inet podfence more': ["nftables, table inet podfence: chain more is not podfence's"],
    'nft flush set inet podfence steered4': ['set steered4 lacks 1 of 1 address'],
  },
  iptables: {
    'for v in nft legacy; do iptables-$v -t mangle -F; done': [
      'iptables, table mangle: chain PODFENCE-POSTROUTING is empty',
      'iptables, table mangle: the jump from POSTROUTING to PODFENCE-POSTROUTING is gone',
      'iptables, table mangle: chain PODFENCE-FORWARD is empty',
      'iptables, table mangle: the jump from FORWARD to PODFENCE-FORWARD is gone',
    ],
    'for v in nft legacy; do iptables-$v -t mangle -F FORWARD; ip6tables-$v -t mangle -F POSTROUTING; done': [
      'iptables, table mangle: the jump from FORWARD to PODFENCE-FORWARD is gone',
      'ip6tables, table mangle: the jump from POSTROUTING to PODFENCE-POSTROUTING is gone',
    ],
    'for v in nft legacy; do ip6tables-$v -t filter -F; done': [
      'ip6tables, table filter: chain PODFENCE-REJECT is empty',
      'ip6tables, table filter: the jump from FORWARD to PODFENCE-REJECT is gone',
    ],
    'for set in $(ipset list -name | grep podfence); do ipset flush $set; ipset add $set fd00::9 || true; done': [
      'set podfence-steered-4 lacks 1 of 1 address',
      'set podfence-steered-6 has 1 address too many',
    ],
  },
};

/** What a first apply of each state installs, by kind. Cached. */
const installed = new Map<string, readonly string[]>();

async function firstApply({ name, make }: Kind, applied: SteeringState): Promise<readonly string[]> {
  const key = `${name} ${JSON.stringify(applied)}`;
  let found = installed.get(key);
  if (found === undefined) {
    using fresh = Netns.create();
    shell(fresh, FOREIGN);
    await make(fresh).apply(applied);
    found = contents(fresh);
    installed.set(key, found);
  }
  return found;
}

describe.skipIf(!root)(`rules and sets in the kernel${needsRoot}`, () => {
  let netns: Netns;
  beforeEach(() => {
    netns = Netns.create();
    shell(netns, FOREIGN);
  });
  afterEach(() => netns.close());

  for (const kind of kinds) {
    const { name, skipped, make } = kind;
    describe.skipIf(skipped)(name, () => {
      test.each<Partial<SteeringState>>([{}, { copiesTo: 100 }, { copiesTo: 100, offload: false }])(
        'a second apply of the same state by another process writes nothing: with %o',
        async (other) => {
          await make(netns).apply({ ...state, ...other });
          const before = everything(netns);
          const commands: Command[] = [];
          await make(netns, recording(commands)).apply({
            ...state,
            ...other,
            steeredIPv6: ['fd00::2', 'FD00::1', 'fd00::1'],
          });
          expect(commands).toEqual([]);
          expect(everything(netns)).toBe(before);
        },
      );

      test('no damage is found until other software removes a part, whatever rules come first', async () => {
        const steering = make(netns);
        await steering.apply(state);
        shell(netns, 'iptables -t mangle -I FORWARD -m mark --mark 0x7 -j ACCEPT');
        expect(await steering.findDamage()).toEqual([]);
        await steering.setSteered(['10.0.0.1'], []);
        expect(await steering.findDamage()).toEqual([]);
        for (const [flush, damage] of Object.entries(FLUSHES[steering.kind])) {
          shell(netns, flush);
          expect(
            (await steering.findDamage()).map(({ what }) => what),
            flush,
          ).toEqual(damage);
          await steering.apply({ ...state, steeredIPv4: ['10.0.0.1'], steeredIPv6: [] });
          expect(await steering.findDamage(), flush).toEqual([]);
        }
      });

      test.each<Partial<SteeringState>>([
        { deny: 'drop', offload: false },
        { queues: { first: 7, count: 1 } },
        { fail: 'open', steeredIPv4: ['10.0.0.2', '10.0.0.3'], steeredIPv6: [] },
        { mark: { judged: 0x10, reject: 0x20, mask: 0x30 } },
        { copiesTo: 100 },
      ])('apply over the rules of an earlier process leaves what a first apply of %o installs', async (other) => {
        await make(netns).apply(state);
        await make(netns).apply({ ...state, ...other });
        expect(contents(netns)).toEqual(await firstApply(kind, { ...state, ...other }));
        await make(netns).apply(state);
        expect(contents(netns)).toEqual(await firstApply(kind, state));
      });

      test('foreign rules and sets stay unchanged, and remove leaves nothing else', async () => {
        const before = everything(netns);
        const steering = make(netns);
        await steering.apply(state);
        await steering.setSteered(['10.0.0.5'], []);
        const during = everything(netns);
        for (const line of before.split('\n')) expect(during).toContain(line);
        await steering.remove();
        expect(everything(netns)).toBe(before);
        await steering.remove();
        expect(everything(netns)).toBe(before);
      });

      test('setSteered writes the differences with one command, and nothing where there are none', async () => {
        const commands: Command[] = [];
        const steering = make(netns, recording(commands));
        await steering.apply(state);
        commands.length = 0;
        await steering.setSteered(['10.0.0.3', '10.0.0.1'], ['fd00::1', 'fd00::2', 'fd00::3']);
        expect(commands).toHaveLength(1);
        const input = commands[0]?.input.trim().split('\n');
        if (steering.kind === 'iptables') {
          const lines = [
            'add podfence-steered-4 10.0.0.3',
            'del podfence-steered-4 10.0.0.2',
            'add podfence-steered-6 fd00::3',
          ];
          expect(input).toEqual(lines);
        } else {
          expect(input).toEqual([
            'add element inet podfence steered4 { 10.0.0.3 }',
            'delete element inet podfence steered4 { 10.0.0.2 }',
            'add element inet podfence steered6 { fd00::3 }',
          ]);
        }
        await steering.setSteered(['10.0.0.1', '10.0.0.3'], ['fd00::3', 'fd00::1', 'fd00::2']);
        expect(commands).toHaveLength(1);
        const steeredIPv6 = ['fd00::1', 'fd00::2', 'fd00::3'];
        const expected = await firstApply(kind, { ...state, steeredIPv4: ['10.0.0.3', '10.0.0.1'], steeredIPv6 });
        expect(contents(netns)).toEqual(expected);
      });

      test('what somebody else takes away is put back by the next setSteered that meets it', async () => {
        const steering = make(netns);
        await steering.apply(state);
        const before = contents(netns);
        await make(netns).remove();
        await steering.setSteered(['10.0.0.1', '10.0.0.2', '10.0.0.3'], state.steeredIPv6);
        await steering.setSteered(state.steeredIPv4, state.steeredIPv6);
        expect(contents(netns)).toEqual(before);
      });

      test('a failed repair stays reported until it succeeds', async () => {
        let fails = false;
        const steering = make(netns, (inner) => ({
          run: (command, args, input) => {
            const writes = /^ip6?tables.*-restore$/.test(command) || (command === 'nft' && input !== undefined);
            return fails && writes ? Promise.reject(new Error('no memory')) : inner.run(command, args, input);
          },
          read: inner.read,
        }));
        await steering.apply(state);
        const before = contents(netns);
        await make(netns).remove();
        fails = true;
        await expect(steering.apply(state)).rejects.toThrow('no memory');
        expect(await steering.findDamage()).not.toEqual([]);
        fails = false;
        await steering.setSteered(state.steeredIPv4, state.steeredIPv6);
        expect(await steering.findDamage()).toEqual([]);
        expect(contents(netns)).toEqual(before);
      });

      test('setSteered before apply is an error', async () => {
        await expect(make(netns).setSteered([], [])).rejects.toMatchObject({ code: 'NOT_APPLIED' });
      });

      // The two nftables kinds do not take over from each other: to steering they are the same.
      const others = kinds.filter((each) => each.name.slice(0, 8) !== 'nftables' || !name.startsWith('nftables'));
      for (const other of others.filter((each) => each.name !== name && !each.skipped))
        test(`takes over from ${other.name}: its own rules are in force before the others go`, async () => {
          const before = everything(netns);
          await other.make(netns).apply(state);
          const commands: Command[] = [];
          const steering = make(netns, recording(commands));
          await steering.apply(state);
          const installs = commands.findIndex(({ input }) => /add rule|-A PODFENCE/.test(input));
          const removes = commands.findIndex(({ input }) => /^delete table|-X PODFENCE/m.test(input));
          if (!(steering.kind === 'nftables' && other.name.startsWith('nftables')))
            expect(removes).toBeGreaterThan(installs);
          expect(contents(netns)).toEqual(await firstApply(kind, state));
          await steering.remove();
          expect(everything(netns)).toBe(before);
        });
    });
  }
});

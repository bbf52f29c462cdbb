/** Cases that only iptables and ipset have, in a real kernel. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SteeringError, toolMissing } from '../../../src/dataplane/steering/error.ts';
import { IptablesSteering } from '../../../src/dataplane/steering/iptables.ts';
import { renderChains } from '../../../src/dataplane/steering/iptables-rules.ts';
import { type System, system } from '../../../src/dataplane/steering/run.ts';
import { Netns } from '../../../src/sys/netns.ts';
import { STATE, withVariant } from './kinds.ts';
import { needsRoot, root, shell } from './pods.ts';

describe.skipIf(!root)(`steering by iptables${needsRoot}`, () => {
  let netns: Netns;
  beforeEach(() => {
    netns = Netns.create();
  });
  afterEach(() => netns.close());

  const forwardRules = () => shell(netns, 'iptables-nft -t security -S FORWARD').trim().split('\n').slice(1);

  test('outgrown sets are swapped while rules refer to them', async () => {
    shell(
      netns,
      'ipset create podfence-steered-4 hash:ip maxelem 2; ipset create podfence-steered-4-new hash:ip maxelem 1',
    );
    const steering = new IptablesSteering(system(netns));
    await steering.apply({ ...STATE, steeredIPv4: ['10.0.0.1'] });
    await steering.setSteered(['10.0.0.1', '10.0.0.2', '10.0.0.3'], []);
    await steering.setSteered(['10.0.0.4', '10.0.0.2', '10.0.0.3'], []);
    const saved = shell(netns, 'ipset save').trim().split('\n').sort();
    expect(saved).toEqual([
      ...[2, 3, 4].map((last) => `add podfence-steered-4 10.0.0.${last}`),
      expect.stringMatching(/^create podfence-steered-4 .* maxelem 8 /),
      expect.stringMatching(/^create podfence-steered-6 /),
    ]);
  });

  test('a check for damage runs one tool for each set and each table, and no others', async () => {
    const inner = withVariant('nft', system(netns));
    const tools: string[] = [];
    const counting: System = {
      read: inner.read,
      run: (command, args, input) => {
        tools.push([command, ...args].join(' '));
        return inner.run(command, args, input);
      },
    };
    const steering = new IptablesSteering(counting);
    await steering.apply(STATE);
    tools.length = 0;
    expect(await steering.findDamage()).toEqual([]);
    const tables = new Set(
      [4, 6].flatMap((family) => renderChains(family as 4 | 6, STATE, 'security').map(({ table }) => table)),
    );
    const saves = [...tables].flatMap((table) => [`iptables-save -t ${table}`, `ip6tables-save -t ${table}`]);
    expect(tools.sort()).toEqual(['ipset save podfence-steered-4', 'ipset save podfence-steered-6', ...saves].sort());
    shell(netns, 'iptables-nft -t security -F; ipset destroy podfence-steered-4');
    expect((await steering.findDamage()).length).toBeGreaterThan(0);
  });

  test('a jump that has other rules before it is first again after apply', async () => {
    const steering = new IptablesSteering(withVariant('nft', system(netns)));
    await steering.apply(STATE);
    shell(
      netns,
      'iptables-nft -t security -I FORWARD 1 -s 10.0.0.1 -j ACCEPT; iptables-nft -t security -A FORWARD -j PODFENCE-FORWARD',
    );
    await steering.apply(STATE);
    expect(forwardRules()).toEqual(['-A FORWARD -j PODFENCE-FORWARD', '-A FORWARD -s 10.0.0.1/32 -j ACCEPT']);
  });

  test('rules of another program that appear between reading and writing do not make apply fail', async () => {
    const steering = new IptablesSteering(withVariant('nft', system(netns)));
    await steering.apply(STATE);
    shell(netns, 'iptables-nft -t security -I FORWARD 1 -s 10.0.0.1 -j ACCEPT');
    let meddled = false;
    const inner = withVariant('nft', system(netns));
    const meddling: System = {
      read: inner.read,
      run: (command, args, input) => {
        if (command === 'iptables-restore' && !meddled) {
          meddled = true;
          shell(netns, 'iptables-nft -t security -D FORWARD -j PODFENCE-FORWARD');
        }
        return inner.run(command, args, input);
      },
    };
    await new IptablesSteering(meddling).apply(STATE);
    expect(meddled).toBe(true);
    expect(forwardRules()[0]).toBe('-A FORWARD -j PODFENCE-FORWARD');
  });

  test('remove takes away everything after a crash half way', async () => {
    shell(
      netns,
      'ipset create podfence-steered-4 hash:ip; ipset create podfence-steered-4-new hash:ip; ipset create podfence-probe-1-4 hash:ip',
    );
    shell(
      netns,
      'for v in nft legacy; do for t in security mangle; do iptables-$v -t $t -N PODFENCE-FORWARD; done; iptables-$v -N PODFENCE-PROBE-1; done',
    );
    shell(netns, 'iptables-nft -t mangle -A PODFENCE-FORWARD -m set --match-set podfence-steered-4 src -j DROP');
    await new IptablesSteering(system(netns)).remove();
    expect(
      shell(
        netns,
        'ipset save; for v in nft legacy; do for t in security mangle filter; do iptables-$v-save -t $t; done; done',
      ),
    ).not.toMatch(/podfence/i);
  });

  test('without the table security packets are queued in mangle, and a caveat says what that means', async () => {
    const inner = withVariant('legacy', system(netns));
    const steering = new IptablesSteering({
      read: inner.read,
      run: (command, args, input) =>
        args.includes('security')
          ? Promise.reject(new SteeringError('KERNEL_LACKS', 'no table security', ''))
          : inner.run(command, args, input),
    });
    await steering.apply(STATE);
    expect(shell(netns, 'iptables-legacy -t mangle -S FORWARD')).toContain('-A FORWARD -j PODFENCE-FORWARD');
    expect(await steering.findDamage()).toEqual([]);
    expect(steering.caveats).toEqual([expect.stringContaining('no table security for iptables and ip6tables')]);
  });

  describe('without ip6tables', () => {
    const withoutIPv6 = (inner: System): System => ({
      read: inner.read,
      run: (command, args, input) =>
        command.startsWith('ip6tables') ? Promise.reject(toolMissing(command)) : inner.run(command, args, input),
    });

    test('IPv4 is steered', async () => {
      const steering = new IptablesSteering(withoutIPv6(system(netns)));
      await steering.apply({ ...STATE, steeredIPv4: ['10.0.0.1'] });
      await steering.setSteered(['10.0.0.2'], []);
      expect(shell(netns, 'ipset save podfence-steered-4')).toContain('add podfence-steered-4 10.0.0.2\n');
      await steering.remove();
    });

    test('an isolated IPv6 address is an error, from the start or later', async () => {
      const steering = new IptablesSteering(withoutIPv6(system(netns)));
      await expect(steering.apply({ ...STATE, steeredIPv6: ['fd00::1'] })).rejects.toMatchObject({
        code: 'IPV6_MISSING',
      });
      await steering.apply(STATE);
      await expect(steering.setSteered([], ['fd00::1'])).rejects.toMatchObject({ code: 'IPV6_MISSING' });
    });
  });
});

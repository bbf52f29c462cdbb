/** Which kind is chosen on this machine, and that choosing leaves nothing behind. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { commandFailed, toolMissing } from '../../../src/dataplane/steering/error.ts';
import { chooseSteering, surveySteering } from '../../../src/dataplane/steering/probe.ts';
import { type System, system } from '../../../src/dataplane/steering/run.ts';
import { Netns } from '../../../src/sys/netns.ts';
import { nftQueue, STATE, withoutNftQueue } from './kinds.ts';
import { needsRoot, root, shell } from './pods.ts';

/** A system on which these tools are not installed. */
function without(tools: RegExp, inner: System): System {
  return {
    read: inner.read,
    run: (command, args, input) =>
      tools.test(command) ? Promise.reject(toolMissing(command)) : inner.run(command, args, input),
  };
}

describe.skipIf(!root)(`choosing a kind of steering${needsRoot}`, () => {
  let netns: Netns;
  beforeEach(() => {
    netns = Netns.create();
  });
  afterEach(() => {
    expect(shell(netns, 'nft list ruleset; iptables-nft-save; ipset save; iptables-legacy-save')).not.toMatch(
      /podfence/i,
    );
    netns.close();
  });

  test('iptables is taken when asked for', async () => {
    expect((await chooseSteering('iptables', { system: system(netns) })).kind).toBe('iptables');
  });

  test('copies are tried as copies: no kind needs to be able to queue', async () => {
    const needs = { deny: 'drop', offload: true, copiesTo: 100 } as const;
    expect((await chooseSteering('auto', { system: system(netns), needs })).kind).toBe('nftables');
    expect((await chooseSteering('iptables', { system: system(netns), needs })).kind).toBe('iptables');
  });

  test.skipIf(nftQueue)(
    'without a queue in nftables, auto takes iptables, and asking for nftables reports what is missing',
    async () => {
      expect((await chooseSteering('auto', { system: system(netns) })).kind).toBe('iptables');
      const refused = expect(chooseSteering('nftables', { system: system(netns) })).rejects;
      await refused.toMatchObject({
        code: 'KERNEL_LACKS',
        message: expect.stringContaining('queue'),
        hint: expect.stringContaining('nft_queue'),
      });
    },
  );

  test('auto takes nftables if it works', async () => {
    const works = nftQueue ? system(netns) : withoutNftQueue(system(netns));
    expect((await chooseSteering('auto', { system: works })).kind).toBe('nftables');
    expect((await chooseSteering('nftables', { system: works })).kind).toBe('nftables');
  });

  describe('for a kernel that loses one of two first packets', () => {
    const losesFirstPackets = true;
    const works = () => (nftQueue ? system(netns) : withoutNftQueue(system(netns)));

    test('nftables judges them before routing, but not for other kernels or copies', async () => {
      const copies = { deny: 'drop', offload: true, copiesTo: 100 } as const;
      expect(await chooseSteering('auto', { system: works(), losesFirstPackets })).toMatchObject({
        beforeRouting: true,
      });
      expect(await chooseSteering('auto', { system: works() })).toMatchObject({ beforeRouting: false });
      const auditing = await chooseSteering('auto', { system: works(), needs: copies, losesFirstPackets });
      expect(auditing).toMatchObject({ kind: 'nftables', beforeRouting: false });
    });

    test('without fib, nftables steers but does not judge before routing', async () => {
      const whole = works();
      const withoutFib: System = {
        read: whole.read,
        run: (command, args, input = '') =>
          /\bfib\b/.test(input)
            ? Promise.reject(commandFailed(command, 1, 'Could not process rule: No such file or directory'))
            : whole.run(command, args, input),
      };
      const steering = await chooseSteering('nftables', { system: withoutFib, losesFirstPackets });
      expect(steering).toMatchObject({ kind: 'nftables', beforeRouting: false });
      expect(await surveySteering(withoutFib)).toMatchObject({ chosen: 'nftables', beforeRouting: false });
    });

    test('iptables cannot judge them before routing', async () => {
      const steering = await chooseSteering('iptables', { system: system(netns), losesFirstPackets });
      expect(steering.beforeRouting).toBe(false);
    });
  });

  test('auto adopts the kind that is in place if both work', async () => {
    const works = nftQueue ? system(netns) : withoutNftQueue(system(netns));
    const iptables = await chooseSteering('iptables', { system: works });
    await iptables.apply(STATE);
    expect((await chooseSteering('auto', { system: works })).kind).toBe('iptables');
    const nftables = await chooseSteering('nftables', { system: works });
    await nftables.apply(STATE);
    expect((await chooseSteering('auto', { system: works })).kind).toBe('nftables');
    await nftables.remove();
  });

  test('auto takes iptables if nft is not installed', async () => {
    expect((await chooseSteering('auto', { system: without(/^nft$/, system(netns)) })).kind).toBe('iptables');
  });

  test('if neither is installed, the error says what to install', async () => {
    const bare = without(/^(nft|ip6?tables.*)$/, system(netns));
    await expect(chooseSteering('auto', { system: bare })).rejects.toMatchObject({
      code: 'TOOL_MISSING',
      hint: 'install the package iptables; install the package nftables',
    });
  });

  test('iptables is refused without ipset', async () => {
    const refused = expect(chooseSteering('iptables', { system: without(/^ipset$/, system(netns)) })).rejects;
    await refused.toMatchObject({ code: 'TOOL_MISSING', hint: 'install the package ipset' });
  });

  test('iptables is refused if the kernel lacks a target, and the trial’s rules are removed', async () => {
    const inner = system(netns);
    const lacking: System = {
      read: inner.read,
      run: async (command, args, input) => {
        if (input?.includes('*filter\n:'))
          throw commandFailed('iptables-restore', 1, 'iptables-restore: line 4 failed');
        return await inner.run(command, args, input);
      },
    };
    await expect(chooseSteering('iptables', { system: lacking })).rejects.toMatchObject({ code: 'KERNEL_LACKS' });
  });
});

test('a command that does not exist is a missing tool', async () => {
  await expect(system().run('podfence-no-such-tool', [])).rejects.toMatchObject({ code: 'TOOL_MISSING' });
});

test('a command that fails without reading its input reports its own message, not the broken pipe', async () => {
  const long = 'x'.repeat(1 << 20);
  await expect(system().run('sh', ['-c', 'echo why >&2; exit 3'], long)).rejects.toMatchObject({
    message: 'sh -c echo why >&2; exit 3: why',
  });
});

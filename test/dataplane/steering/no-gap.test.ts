/** No packet of an isolated endpoint gets through while its steering changes. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { writeTables } from '../../../src/dataplane/steering/iptables-commands.ts';
import { renderChains } from '../../../src/dataplane/steering/iptables-rules.ts';
import { system } from '../../../src/dataplane/steering/run.ts';
import type { SteeringState } from '../../../src/dataplane/steering/state.ts';
import { patience } from '../../patience.ts';
import { kinds, nftQueue, STATE } from './kinds.ts';
import { addressOf, needsRoot, Pods, root, shell } from './pods.ts';

// Every kind of steering after every other one: about 300 runs of tools.
vi.setConfig({ testTimeout: patience(120_000) });

/** No process reads the queues. With fail closed nothing from or to b passes. */
const state: SteeringState = { ...STATE, steeredIPv4: [addressOf('b', 4)], steeredIPv6: [addressOf('b', 6)] };

describe.skipIf(!root)(`steering changes under a flood of packets to an isolated endpoint${needsRoot}`, () => {
  let pods: Pods;
  beforeAll(async () => {
    pods = await Pods.create();
    const rules = [
      'add table inet test',
      'add chain inet test before { type filter hook prerouting priority 0; }',
      'add chain inet test passed { type filter hook postrouting priority 300; }',
      `add rule inet test before ip daddr ${addressOf('b', 4)} counter`,
      `add rule inet test before ip6 daddr ${addressOf('b', 6)} counter`,
      `add rule inet test passed ip daddr ${addressOf('b', 4)} counter`,
      `add rule inet test passed ip6 daddr ${addressOf('b', 6)} counter`,
    ];
    shell(pods.node, 'nft -f -', rules.join('\n'));
  });
  afterAll(() => pods?.close());

  /** Packets to b, IPv4 and IPv6: sent, and passed. */
  const counters = () =>
    [...shell(pods.node, 'nft list table inet test').matchAll(/packets (\d+)/g)].map((match) => Number(match[1]));

  test('by every kind, from one kind to another, and by every setting, none passes', async () => {
    const steerings = kinds.filter(({ skipped }) => !skipped).map(({ make }) => make(pods.node));
    await steerings[0]?.apply(state);
    for (const [from, family] of [
      ['a', 4],
      ['c', 6],
    ] as const)
      await pods.request(from, 'b', 'flood', family);
    for (const steering of [...steerings, ...steerings]) {
      await steering.apply(state);
      await steering.apply({ ...state, queues: { first: 9, count: 1 }, offload: false });
      await steering.apply({ ...state, deny: 'reject' });
      await steering.setSteered([...state.steeredIPv4, '10.0.0.1'], [...state.steeredIPv6, 'fd00::1']);
      await steering.setSteered(state.steeredIPv4, state.steeredIPv6);
    }
    const [sent4, sent6, passed4, passed6] = counters();
    expect([passed4, passed6]).toEqual([0, 0]);
    expect(sent4).toBeGreaterThan(100);
    expect(sent6).toBeGreaterThan(100);
    // Over an earlier version's layout: all chains in the tables mangle and filter.
    for (const [variant, steering] of [
      ['nft', steerings[0]],
      ['legacy', steerings[1]],
    ] as const) {
      await steering?.apply(state);
      for (const family of [4, 6] as const) {
        const chains = renderChains(family, state, 'mangle');
        await writeTables(system(pods.node), { suffix: `-${variant}`, legacy: variant === 'legacy' }, family, chains);
      }
      expect(shell(pods.node, `iptables-${variant}-save -t mangle`)).toContain('PODFENCE-FORWARD');
      await steering?.apply(state);
      expect(shell(pods.node, `iptables-${variant}-save -t mangle`)).not.toContain('PODFENCE-FORWARD');
      expect(shell(pods.node, `iptables-${variant}-save -t security`)).toContain('PODFENCE-FORWARD');
    }
    const [, , older4, older6] = counters();
    expect([older4, older6], 'over older rules').toEqual([0, 0]);
    await steerings[0]?.remove();
    expect(await pods.request('a', 'b', 'tcp', 4), 'without steering').toBe('answered');
  });

  test('over the rules of a release whose sets were named isolated, none passes, and the sets go', async () => {
    const text = (name: string) => readFileSync(new URL(`recorded/${name}`, import.meta.url), 'utf8');
    const nft = nftQueue ? text('isolated.nft') : text('isolated.nft').replace(/queue to [\d-]+/g, 'drop');
    const iptables = (variant: 'nft' | 'legacy') => {
      shell(pods.node, 'ipset restore', text('isolated.ipset'));
      for (const command of ['iptables', 'ip6tables'])
        shell(pods.node, `${command}-${variant}-restore --noflush`, text(`isolated.${command}`));
    };
    const predecessors = [
      () => iptables('nft'),
      () => iptables('legacy'),
      () => void shell(pods.node, 'nft -f -', nft),
    ];
    await pods.request('a', 'b', 'flood', 4);
    await pods.request('c', 'b', 'flood', 6);
    for (const install of predecessors) {
      for (const { name, make } of kinds.filter(({ skipped }) => !skipped)) {
        install();
        const before = counters();
        const steering = make(pods.node);
        await steering.apply(state);
        const [sent4 = 0, sent6 = 0, ...passed] = counters();
        expect(passed, name).toEqual(before.slice(2));
        expect([sent4 > (before[0] as number), sent6 > (before[1] as number)], name).toEqual([true, true]);
        expect(shell(pods.node, 'ipset list -name; nft list tables; nft list table inet podfence || :')).not.toMatch(
          /isolated/,
        );
        await steering.remove();
      }
    }
  });
});

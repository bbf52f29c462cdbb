/**
 * What the kernel does with forwarded packets under every kind of steering. There is no worker:
 * test rules set the marks that it would set.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hex, type Steering } from '../../../src/dataplane/steering/state.ts';
import { kinds, STATE } from './kinds.ts';
import { addressOf, needsRoot, Pods, root, shell } from './pods.ts';

const J = hex(STATE.mark.judged);
const R = hex(STATE.mark.reject);

/** Endpoint b is isolated. */
const state = { ...STATE, steeredIPv4: [addressOf('b', 4)], steeredIPv6: [addressOf('b', 6)] };

describe.skipIf(!root)(`forwarded packets${needsRoot}`, () => {
  let pods: Pods;
  beforeAll(async () => {
    pods = await Pods.create();
  });
  afterAll(() => pods?.close());

  /** Adds test rules in an nftables table of their own, so that they fit beside any kind. */
  function testRules(...rules: string[]): void {
    const chains = [
      'add table inet test',
      'add chain inet test before { type filter hook prerouting priority -150; }',
      // Sees packets that a worker has accepted.
      'add chain inet test worker { type filter hook forward priority -140; }',
      // Sees them behind iptables' table security, which has priority 50, or 150 in the
      // nf_tables variant.
      'add chain inet test behind { type filter hook forward priority 160; }',
      'add chain inet test passed { type filter hook postrouting priority 300; }',
      ...rules.map((rule) => `add rule inet test ${rule}`),
    ];
    shell(pods.node, 'nft -f -', `${chains.join('\n')}\n`);
  }

  /** Returns the packet counts of the test rules that have a counter, in order. */
  function counted(): number[] {
    return [...shell(pods.node, 'nft list table inet test').matchAll(/packets (\d+)/g)].map((match) =>
      Number(match[1]),
    );
  }

  for (const { name, skipped, make } of kinds)
    describe.skipIf(skipped)(name, () => {
      const worker = name.startsWith('iptables') ? 'behind' : 'worker';
      let steering: Steering;
      afterEach(() => {
        shell(pods.node, 'nft "add table inet test; delete table inet test"');
      });
      // Each test's apply replaces the previous test's state, as an agent's does.
      afterAll(() => steering?.remove());

      describe.each([4, 6] as const)('IPv%i', (family) => {
        test('with fail closed and no reader, packets from and to an isolated endpoint are dropped and others pass', async () => {
          steering = make(pods.node);
          testRules(
            `${worker} ${family === 4 ? 'ip' : 'ip6'} saddr ${addressOf('b', family)} counter`,
            `${worker} ${family === 4 ? 'ip' : 'ip6'} daddr ${addressOf('b', family)} counter`,
          );
          await steering.apply(state);
          expect(await pods.request('a', 'b', 'udp', family, true)).toBe('silence');
          expect(await pods.request('b', 'c', 'udp', family, true)).toBe('silence');
          expect(counted()).toEqual([0, 0]);
          expect(await pods.request('a', 'c', 'udp', family)).toBe('answered');
          expect(await pods.request('c', 'a', 'tcp', family)).toBe('answered');
        });

        test('with fail open and no reader, packets pass', async () => {
          steering = make(pods.node);
          await steering.apply({ ...state, fail: 'open' });
          expect(await pods.request('a', 'b', 'udp', family)).toBe('answered');
          expect(await pods.request('b', 'c', 'tcp', family)).toBe('answered');
        });

        test('copies without a reader let packets pass and mark nothing', async () => {
          steering = make(pods.node);
          // Only packets of this test: in the node's own multicast listener reports a length
          // occupies the mark's place (reserved_tailroom of linux/skbuff.h).
          testRules('passed meta l4proto { tcp, udp } meta mark != 0 counter', 'passed ct mark != 0 counter');
          await steering.apply({ ...state, deny: 'reject', copiesTo: 100 });
          expect(await pods.request('a', 'b', 'udp', family)).toBe('answered');
          expect(await pods.request('b', 'c', 'tcp', family)).toBe('answered');
          expect(counted()).toEqual([0, 0]);
        });

        test('an endpoint is isolated from the moment that setSteered resolves, and no more after it is taken out', async () => {
          steering = make(pods.node);
          await steering.apply(state);
          const c = [addressOf('c', 4), addressOf('c', 6)] as const;
          await steering.setSteered([c[0]], [c[1]]);
          expect(await pods.request('a', 'c', 'udp', family, true)).toBe('silence');
          expect(await pods.request('a', 'b', 'udp', family)).toBe('answered');
        });

        test('a flow with the judged bit in its connection mark is not queued', async () => {
          steering = make(pods.node);
          testRules(`before meta l4proto tcp ct mark set ct mark | ${J}`);
          await steering.apply(state);
          expect(await pods.request('a', 'b', 'tcp', family)).toBe('answered');
          expect(await pods.request('a', 'b', 'udp', family, true)).toBe('silence');
        });

        test('without offload the judged bit of a connection mark has no effect', async () => {
          steering = make(pods.node);
          testRules(`before ct mark set ct mark | ${J}`);
          await steering.apply({ ...state, offload: false });
          expect(await pods.request('a', 'b', 'udp', family, true)).toBe('silence');
        });

        test('the judged bit of a packet moves to the connection mark, beside foreign bits', async () => {
          steering = make(pods.node);
          testRules(
            'before meta l4proto tcp meta mark set 0x80 ct mark set 0x40',
            `${worker} meta l4proto tcp ct direction original meta mark set meta mark | ${J}`,
            `passed meta l4proto tcp ct direction original ct mark ${hex(STATE.mark.judged | 0x40)} meta mark 0x80 counter`,
            'passed meta l4proto tcp ct direction original counter',
          );
          await steering.apply(state);
          expect(await pods.request('a', 'c', 'tcp', family)).toBe('answered');
          const [asExpected, all] = counted();
          expect(all).toBeGreaterThan(0);
          expect(asExpected).toBe(all);
        });

        test('a judged bit on an incoming packet does not offload its flow', async () => {
          steering = make(pods.node);
          testRules(`before meta mark set ${J}`, `passed ct mark & ${J} != 0 counter`);
          await steering.apply(state);
          expect(await pods.request('a', 'c', 'udp', family)).toBe('answered');
          expect(await pods.request('a', 'b', 'udp', family, true)).toBe('silence');
          expect(counted()).toEqual([0]);
        });

        test('a denied packet is answered with a TCP reset or ICMP, even if replies inherit the mark', async () => {
          steering = make(pods.node);
          testRules(`worker meta mark set meta mark | ${R}`);
          await steering.apply({ ...state, deny: 'reject', fail: 'open' });
          for (const reflect of [0, 1]) {
            shell(pods.node, `for family in 4 6; do echo ${reflect} > /proc/sys/net/ipv$family/fwmark_reflect; done`);
            expect(await pods.request('a', 'b', 'tcp', family)).toBe('ECONNREFUSED');
            expect(await pods.request('a', 'b', 'udp', family)).toBe(family === 4 ? 'EHOSTUNREACH' : 'EACCES');
          }
        });

        test('a reject bit on an incoming packet is kept: steering of another kind may have set it during a change', async () => {
          steering = make(pods.node);
          testRules(`before meta l4proto tcp meta mark set ${R}`);
          await steering.apply({ ...state, deny: 'reject' });
          expect(await pods.request('a', 'c', 'tcp', family)).toBe('ECONNREFUSED');
          expect(await pods.request('a', 'c', 'udp', family)).toBe('answered');
        });

        test('a denied packet that no rule rejected is dropped in postrouting', async () => {
          steering = make(pods.node);
          testRules(`worker meta mark set meta mark | ${R}`, 'passed meta l4proto udp counter');
          await steering.apply({ ...state, deny: 'reject', fail: 'open' });
          if (steering.kind === 'nftables') shell(pods.node, 'nft flush chain inet podfence denied');
          else {
            const iptables = family === 4 ? 'iptables' : 'ip6tables';
            for (const variant of ['nft', 'legacy']) {
              shell(pods.node, `${iptables}-${variant} -D FORWARD -m mark --mark ${R}/${R} -j PODFENCE-REJECT || true`);
            }
          }
          expect(await pods.request('a', 'b', 'udp', family, true)).toBe('silence');
          expect(counted()).toEqual([0]);
        });
      });
    });
});

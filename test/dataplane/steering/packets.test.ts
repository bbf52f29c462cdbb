/** What the kernel does with forwarded packets, by every kind of steering. No worker runs: rules of the test stand in for its answers. */
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

  /** Rules of the test, in a nftables table of its own, so that they stand beside any kind. */
  function testRules(...rules: string[]): void {
    const chains = [
      'add table inet test',
      'add chain inet test before { type filter hook prerouting priority -150; }',
      // Where a packet is that a worker has accepted.
      'add chain inet test worker { type filter hook forward priority -140; }',
      // The same where packets are handed over in iptables' table security: priority 50, or 150 in the nf_tables variant.
      'add chain inet test behind { type filter hook forward priority 160; }',
      'add chain inet test passed { type filter hook postrouting priority 300; }',
      ...rules.map((rule) => `add rule inet test ${rule}`),
    ];
    shell(pods.node, 'nft -f -', `${chains.join('\n')}\n`);
  }

  /** The packets that the rules of the test with a counter have seen, in order. */
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
      // Each test's apply writes over the state of the one before, as an agent's does.
      afterAll(() => steering?.remove());

      describe.each([4, 6] as const)('IPv%i', (family) => {
        test('under fail closed, with nobody reading the queue, packets from and to an isolated endpoint are dropped and others pass', async () => {
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

        test('under fail open, with nobody reading the queue, packets pass', async () => {
          steering = make(pods.node);
          await steering.apply({ ...state, fail: 'open' });
          expect(await pods.request('a', 'b', 'udp', family)).toBe('answered');
          expect(await pods.request('b', 'c', 'tcp', family)).toBe('answered');
        });

        test('of copies that nobody takes, packets pass, and nothing is marked', async () => {
          steering = make(pods.node);
          // Of the packets that are sent here: the node's own multicast listener reports have a length where a mark is (reserved_tailroom of linux/skbuff.h).
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

        test('a flow whose connection mark has the judged bit is not queued', async () => {
          steering = make(pods.node);
          testRules(`before meta l4proto tcp ct mark set ct mark | ${J}`);
          await steering.apply(state);
          expect(await pods.request('a', 'b', 'tcp', family)).toBe('answered');
          expect(await pods.request('a', 'b', 'udp', family, true)).toBe('silence');
        });

        test('without offload the judged bit of a connection mark means nothing', async () => {
          steering = make(pods.node);
          testRules(`before ct mark set ct mark | ${J}`);
          await steering.apply({ ...state, offload: false });
          expect(await pods.request('a', 'b', 'udp', family, true)).toBe('silence');
        });

        test('the judged bit of a packet becomes the connection mark’s, beside foreign bits, and leaves the packet', async () => {
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

        test('a judged bit that a packet arrives with does not offload its flow', async () => {
          steering = make(pods.node);
          testRules(`before meta mark set ${J}`, `passed ct mark & ${J} != 0 counter`);
          await steering.apply(state);
          expect(await pods.request('a', 'c', 'udp', family)).toBe('answered');
          expect(await pods.request('a', 'b', 'udp', family, true)).toBe('silence');
          expect(counted()).toEqual([0]);
        });

        test('a denied packet is answered with a TCP reset or ICMP, also where answers inherit the mark', async () => {
          steering = make(pods.node);
          testRules(`worker meta mark set meta mark | ${R}`);
          await steering.apply({ ...state, deny: 'reject', fail: 'open' });
          for (const reflect of [0, 1]) {
            shell(pods.node, `for family in 4 6; do echo ${reflect} > /proc/sys/net/ipv$family/fwmark_reflect; done`);
            expect(await pods.request('a', 'b', 'tcp', family)).toBe('ECONNREFUSED');
            expect(await pods.request('a', 'b', 'udp', family)).toBe(family === 4 ? 'EHOSTUNREACH' : 'EACCES');
          }
        });

        test('a reject bit that a packet arrives with is kept: steering of another kind, in place for a moment, may have set it', async () => {
          steering = make(pods.node);
          testRules(`before meta l4proto tcp meta mark set ${R}`);
          await steering.apply({ ...state, deny: 'reject' });
          expect(await pods.request('a', 'c', 'tcp', family)).toBe('ECONNREFUSED');
          expect(await pods.request('a', 'c', 'udp', family)).toBe('answered');
        });

        test('a denied packet that nothing has rejected is dropped in postrouting', async () => {
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

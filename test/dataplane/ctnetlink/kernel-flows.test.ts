import { expect, it } from 'vitest';
import { eachKernelFlow, type KernelFlowKey, keyOf, setMarks } from '../../../src/dataplane/ctnetlink/kernel-flows.ts';
import { Packet } from '../../../src/packet/packet.ts';
import { addressWords } from '../../../src/policy/address-words.ts';
import { describeAsRoot } from '../../root.ts';
import { TwoPods } from '../two-pods.ts';

const JUDGED = 0x0100_0000;

describeAsRoot("the kernel's connection table", () => {
  it('returns flows by mark, and clears only the bits that were asked for', async () => {
    using pods = new TwoPods();
    pods.sh(
      pods.node,
      `iptables -t mangle -A POSTROUTING -d ${TwoPods.SERVER} -p icmp -j CONNMARK --set-mark 0x1000005
       iptables -t mangle -A POSTROUTING -p udp -j CONNMARK --set-mark 0x5`,
    );
    pods.sh(
      pods.client,
      `ping -c 1 -w 5 ${TwoPods.SERVER}
       bash -c 'echo hello > /dev/udp/${TwoPods.SERVER}/53'`,
    );
    const packet = new Packet();
    const keys: KernelFlowKey[] = [];
    const seen = async (mask: number, value: number) => {
      const marks: string[] = [];
      await pods.node.run(() =>
        eachKernelFlow(
          (flow) => {
            flow.opening(packet);
            keys.push(keyOf(flow));
            marks.push(`${packet.protocol} ${flow.mark.toString(16)}`);
          },
          { mask, value },
        ),
      );
      return marks.sort();
    };
    expect(await seen(0, 0)).toEqual(['1 1000005', '17 5']);
    keys.length = 0;
    expect(await seen(JUDGED, JUDGED)).toEqual(['1 1000005']);
    await pods.node.run(() => setMarks(keys, JUDGED, 0));
    expect(await seen(JUDGED, JUDGED)).toEqual([]);
    expect(await seen(0, 0)).toEqual(['1 5', '17 5']);
    await pods.node.run(() => setMarks(keys, JUDGED, JUDGED));
    expect(await seen(JUDGED, JUDGED)).toEqual(['1 1000005', '17 1000005']);
  });

  it('skips an entry that has ended meanwhile', async () => {
    using pods = new TwoPods();
    pods.sh(pods.node, 'iptables -t mangle -A FORWARD -m conntrack --ctstate NEW');
    pods.sh(pods.client, `ping -c 1 -w 5 ${TwoPods.SERVER}`);
    const keys: KernelFlowKey[] = [];
    await pods.node.run(() => eachKernelFlow((flow) => keys.push(keyOf(flow))));
    expect(keys).toHaveLength(1);
    // An identifier that no ping uses: there is no such entry.
    const [key] = keys as [KernelFlowKey];
    const originalTuple = key.originalTuple.map((byte, i) => (i === 8 ? 203 : byte));
    await pods.node.run(() => setMarks([{ ...key, originalTuple }], JUDGED, JUDGED));
  });

  it('returns the flows of one end, before and after address translation', async () => {
    using pods = new TwoPods();
    pods.sh(pods.node, `iptables -t nat -A PREROUTING -d 10.96.0.1 -j DNAT --to-destination ${TwoPods.SERVER}`);
    pods.sh(pods.client, 'ping -c 1 -w 5 10.96.0.1');
    const opened = async (role: 'opener' | 'other', address: string) => {
      let flows = 0;
      const end = { role, address: addressWords(address) ?? [] };
      await pods.node.run(() => eachKernelFlow(() => flows++, { end }));
      return flows;
    };
    expect([await opened('opener', TwoPods.CLIENT), await opened('other', TwoPods.SERVER)]).toEqual([1, 1]);
    expect([await opened('opener', TwoPods.SERVER), await opened('other', TwoPods.CLIENT)]).toEqual([0, 0]);
    expect(await opened('other', 'fd00::1')).toBe(0);
  });

  it('returns the flows of one end in IPv6 too', async () => {
    using pods = new TwoPods();
    pods.sh(
      pods.node,
      `ip link set lo up
       ip6tables -A OUTPUT -m conntrack --ctstate NEW
       for address in fd00::1 fd00::2 fd00::3; do ip addr add $address/128 dev lo nodad; done
       for from in fd00::1 fd00::3; do ping -c 1 -w 5 -I $from fd00::2; done`,
    );
    const opened = async (role: 'opener' | 'other', address: string) => {
      let flows = 0;
      const end = { role, address: addressWords(address) ?? [] };
      await pods.node.run(() => eachKernelFlow(() => flows++, { end }));
      return flows;
    };
    expect(
      await Promise.all([opened('opener', 'fd00::1'), opened('other', 'fd00::2'), opened('opener', 'fd00::2')]),
    ).toEqual([1, 2, 0]);
  });
});

/** What counts as answered, and what counts as delivered. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Host, Topology } from '../../../src/lab/topology.ts';
import type { AttemptSpec } from '../../../src/lab/traffic/messages.ts';
import { Traffic } from '../../../src/lab/traffic/traffic.ts';
import { describeAsRoot } from '../../root.ts';

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
const FAMILIES = [
  { address: 0, iptables: 'iptables' },
  { address: 1, iptables: 'ip6tables' },
];
const TIMING = { patience: 600, watch: 100 };

describeAsRoot('an attempt', () => {
  let topology: Topology;
  let traffic: Traffic;
  let pods: Host[];
  let attempts = 0;

  beforeAll(async () => {
    topology = await Topology.create([{ name: 'node', addresses: ['172.18.0.2', 'fd00:172:18::2'] }]);
    pods = await topology.addPods(
      'node',
      [1, 2, 3].map((n) => [`10.244.0.${n}`, `fd00:10:244::${n}`]),
    );
    // Fewer than the attempts of each test, so that they run in two waves.
    traffic = new Traffic(4);
    const failures = await traffic.listen(
      pods.flatMap(({ netns, addresses }, i) =>
        addresses.flatMap((address) =>
          PROTOCOLS.map((protocol) => ({ netns: netns.fd, speaker: `pod-${i}`, address, port: 80, protocol })),
        ),
      ),
    );
    expect(failures).toEqual([]);
  });
  afterAll(async () => {
    await traffic?.stop();
    topology?.close();
  });

  /** Returns the outcomes of attempts from pod 0 to pod 1, in all protocols and families. */
  async function outcomes(expectAnswer: boolean) {
    const [from, to] = pods as [Host, Host];
    const specs = FAMILIES.flatMap(({ address }) =>
      PROTOCOLS.map(
        (protocol): AttemptSpec => ({
          id: ++attempts,
          netns: from.netns.fd,
          source: from.addresses[address] ?? '',
          target: to.addresses[address] ?? '',
          port: 80,
          protocol,
          sourcePorts: { first: 20_000, count: 1000 },
          expectAnswer,
          speaker: 'pod-1',
          arrival: { netns: to.netns.fd, port: 80 },
        }),
      ),
    );
    return (await traffic.attempt(specs, TIMING)).map(({ answered, delivered }) => ({ answered, delivered }));
  }

  /** Runs `action` with a rule in the node's FORWARD chain of both families. */
  async function withRule<T>(
    table: string,
    rule: (address: (pod: number) => string) => string,
    action: () => Promise<T>,
  ) {
    const change = (flag: string) => {
      for (const { address, iptables } of FAMILIES) {
        const words = rule((pod) => pods[pod]?.addresses[address] ?? '').split(' ');
        topology.node('node').netns.run(() => execFileSync(iptables, ['-w', '-t', table, flag, ...words]));
      }
    };
    change('-A');
    try {
      return await action();
    } finally {
      change('-D');
    }
  }

  test('that is answered was delivered', async () => {
    expect(await outcomes(true)).toEqual(Array(6).fill({ answered: true, delivered: true }));
  });

  test('that is answered against the expectation is noticed', async () => {
    expect(await outcomes(false)).toEqual(Array(6).fill({ answered: true, delivered: true }));
  });

  test('whose packets are dropped was not delivered', async () => {
    const drop = (address: (pod: number) => string) => `FORWARD -s ${address(0)} -d ${address(1)} -j DROP`;
    const expected = Array(6).fill({ answered: false, delivered: false });
    expect(await withRule('filter', drop, () => outcomes(false))).toEqual(expected);
    expect(await withRule('filter', drop, () => outcomes(true))).toEqual(expected);
  });

  test('whose replies are dropped was delivered, by TCP too, though the listener never learns of it', async () => {
    const drop = (address: (pod: number) => string) => `FORWARD -s ${address(1)} -d ${address(0)} -j DROP`;
    const expected = Array(6).fill({ answered: false, delivered: true });
    expect(await withRule('filter', drop, () => outcomes(false))).toEqual(expected);
  });

  test('that another pod answers is not answered', async () => {
    const divert = (address: (pod: number) => string) =>
      `PREROUTING -d ${address(1)} -j DNAT --to-destination ${address(2)}`;
    const results = await withRule('nat', divert, () => outcomes(true));
    expect(results.map(({ answered }) => answered)).toEqual(Array(6).fill(false));
  });

  test('that is rejected ends at once, however long it may wait', async () => {
    const reject = (address: (pod: number) => string) => `FORWARD -s ${address(0)} -d ${address(1)} -p udp -j REJECT`;
    const results = await withRule('filter', reject, () => outcomes(true));
    expect(results.map(({ answered }) => answered)).toEqual([true, false, true, true, false, true]);
  });
});

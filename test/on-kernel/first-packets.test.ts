/**
 * Two first packets of one UDP flow wait in queues at the same time, each translated to a different
 * backend: before Linux 6.12 the kernel loses one, unless they are judged before routing.
 */
import { release } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mayLoseFirstPackets, parseRelease } from '../../src/doctor/kernel-release.ts';
import type { AgentFlags } from '../../src/lab/node-messages.ts';
import { describeAsRoot } from '../root.ts';
import { askInPairs } from '../scenarios/query-pairs.ts';
import { pod, service, World } from '../scenarios/world.ts';

const DNS = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' };
const OF_NODE = '10.96.0.11';
const OTHER_PORT = '10.96.0.12';
const OBJECTS = [
  pod('client', { app: 'client' }, ['80']),
  pod('guest', { app: 'guest' }, ['80']),
  pod('dns-a', { app: 'dns' }, ['53/UDP', '5353/UDP']),
  pod('dns-b', { app: 'dns' }, ['53/UDP', '5353/UDP']),
  pod('node-dns', { app: 'node-dns' }, ['153/UDP'], { hostNetwork: true }),
  service('dns', { app: 'dns' }, ['53:53/UDP'], {
    clusterIPs: [DNS.IPv4, DNS.IPv6],
    ipFamilyPolicy: 'RequireDualStack',
    ipFamilies: ['IPv4', 'IPv6'],
  }),
  service('other', { app: 'dns' }, ['5353:5353/UDP'], { clusterIP: OTHER_PORT }),
  service('node-dns', { app: 'node-dns' }, ['53:153/UDP'], { clusterIP: OF_NODE }),
];

/** Only `client` may ask, and only the two DNS pods. */
const POLICIES = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: default-deny }
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: dns }
spec:
  podSelector: { matchLabels: { app: dns } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: client } } }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ask-dns }
spec:
  podSelector: { matchLabels: { app: client } }
  policyTypes: [Egress]
  egress:
    - to: [{ podSelector: { matchLabels: { app: dns } } }]
`;

const losing = mayLoseFirstPackets(parseRelease(release()) ?? { text: '', major: 0, minor: 0 });
/** How long an answer that must come may take on an emulated machine, in ms. */
const PATIENCE = 30_000;
/** With this release, the agent does not judge before routing. */
const WITHOUT_REMEDY = { kernelRelease: '6.12.0' };

function start(agents: AgentFlags): Promise<World> {
  return World.start(OBJECTS, {
    policies: POLICIES,
    load: { families: ['IPv4', 'IPv6'] },
    agents: { steering: 'nftables', ...agents },
  });
}

async function judged(world: World): Promise<number> {
  return (await world.lab.counters()).values().reduce((sum, each) => sum + each.judged, 0);
}

describeAsRoot('Two first packets of one UDP flow', () => {
  describe.skipIf(!losing)(losing ? 'without the remedy' : `without the remedy: Linux ${release()} loses none`, () => {
    test('many of a thousand pairs through a Service with two backends lose a packet', async () => {
      await using world = await start(WITHOUT_REMEDY);
      const { asked, unanswered } = await askInPairs(world.lab.pod('client'), DNS.IPv4, 53, 1000);
      expect(asked).toBe(2000);
      // Half of the pairs choose different backends; of those the kernel loses as many packets as
      // are judged before the first one is forwarded.
      expect(unanswered).toBeGreaterThan(50);
    });
  });

  describe.each([
    { name: 'with offload and --deny reject', offload: true, deny: 'reject', packetsOfAPair: 2 },
    { name: 'with --no-offload', offload: false, deny: 'drop', packetsOfAPair: 4 },
  ] as const)('with the remedy, $name', ({ offload, deny, packetsOfAPair }) => {
    let world: World;
    beforeAll(async () => {
      world = await start({ offload, deny });
    });
    afterAll(async () => {
      await world[Symbol.asyncDispose]();
    });

    test('a thousand pairs through a Service with two backends are answered, and no packet is judged twice', async () => {
      const before = await judged(world);
      const outcome = await askInPairs(world.lab.pod('client'), DNS.IPv4, 53, 1000, PATIENCE);
      expect(outcome).toEqual({ asked: 2000, unanswered: 0 });
      expect((await judged(world)) - before).toBeLessThanOrEqual(1000 * packetsOfAPair);
    });

    test.each([
      ['by IPv6', DNS.IPv6, 53],
      ['at a port other than that of DNS', OTHER_PORT, 5353],
    ])('so are pairs %s', async (_, address, port) => {
      const outcome = await askInPairs(world.lab.pod('client'), address, port, 100, PATIENCE);
      expect(outcome).toEqual({ asked: 200, unanswered: 0 });
    });

    test.each(Object.entries(DNS))('a pod that may not ask gets no answer: %s', async (_, address) => {
      // If the first of a pair is answered with an error, its socket does not send the second.
      const { unanswered } = await askInPairs(world.lab.pod('guest'), address, 53, 25);
      expect(unanswered).toBe(50);
    });

    test('what a Service translates to the pod’s own node is not judged', async () => {
      const before = await judged(world);
      const outcome = await askInPairs(world.lab.pod('client'), OF_NODE, 53, 25, PATIENCE);
      expect(outcome).toEqual({ asked: 50, unanswered: 0 });
      expect((await judged(world)) - before).toBe(0);
    });

    if (deny === 'reject') {
      test('a pod that may not ask gets an error at once', async () => {
        const results = await world.lab.probe({ from: 'default/guest', to: 'service/default/dns' });
        const answers = results.map(({ address, detail }) => `${address.includes(':') ? 'IPv6' : 'IPv4'} ${detail}`);
        // ICMP type 3 code 13 and ICMPv6 type 1 code 1, as the kernel reports them to a socket
        // (icmp_err_convert, icmpv6_err_convert).
        expect([...new Set(answers)].sort()).toEqual(['IPv4 EHOSTUNREACH', 'IPv6 EACCES']);
      });
    }
  });
});

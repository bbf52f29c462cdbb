/**
 * ICMP and ICMPv6: echo, which only rules without ports allow, and errors, which pass with the flow
 * that they are about.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections } from './connections.ts';
import { familyAddress, fragmentationNeeded, IcmpListener, ping, sendRaw } from './icmp.ts';
import { forgetPathMtu, narrowRoutes, pathMtu, sendUntilTooLong, transfer } from './large-packets.ts';
import { pod, World } from './world.ts';

const OBJECTS = [
  pod('near', { app: 'near' }, ['80'], { node: 'one' }),
  pod('mate', { app: 'mate' }, ['80'], { node: 'one' }),
  pod('far', { app: 'far' }, ['80'], { node: 'two' }),
];

const DEFAULT_DENY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: default-deny }
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`;

/** Only `near` may call another pod: `far`. */
const nearCallsFar = (rule: string) => `${DEFAULT_DENY}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: near }
spec:
  podSelector: { matchLabels: { app: near } }
  policyTypes: [Egress]
  egress:
    - to: [{ podSelector: { matchLabels: { app: far } } }]
      ${rule}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: far }
spec:
  podSelector: { matchLabels: { app: far } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: near } } }]
      ${rule}
`;

const PORTS = 'ports: [{ port: 7001 }, { port: 7002, protocol: UDP }]';
const NO_PORTS = '';
/** The smallest MTU that IPv6 allows. */
const SMALL_MTU = 1280;

describeAsRoot('ICMP', () => {
  describe.each([
    { name: 'with offload', offload: true },
    { name: 'with --no-offload', offload: false },
  ])('$name', ({ offload }) => {
    let world: World;
    beforeAll(async () => {
      world = await World.start(OBJECTS, {
        nodes: ['one', 'two'],
        load: { families: ['IPv4', 'IPv6'] },
        externals: [{ name: 'outside', address: '192.0.2.10' }],
        agents: { offload },
      });
    });
    afterAll(async () => {
      await world[Symbol.asyncDispose]();
    });

    test.each([4, 6] as const)(
      'IPv%i echo passes by a rule without ports, and its replies need no rule',
      async (family) => {
        await world.policies(nearCallsFar(NO_PORTS));
        const ways = [
          ['near', 'far', true],
          ['far', 'near', false],
          ['mate', 'far', false],
          ['near', 'mate', false],
        ] as const;
        const answered = await Promise.all(
          ways.map(([from, to, expected]) => ping(world.lab, from, to, family, expected)),
        );
        expect(answered).toEqual(ways.map(([, , expected]) => expected));
      },
    );

    test.each([4, 6] as const)('IPv%i echo does not pass by a rule with ports', async (family) => {
      await world.policies(nearCallsFar(PORTS));
      expect(await ping(world.lab, 'near', 'far', family, false)).toBe(false);
      await world.policies('');
      expect(await ping(world.lab, 'near', 'far', family, true)).toBe(true);
    });

    test('an error about an allowed flow comes in, one about a flow that was never opened does not', async () => {
      await world.policies(`${DEFAULT_DENY}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: near }
spec:
  podSelector: { matchLabels: { app: near } }
  policyTypes: [Egress]
  egress:
    - ports: [{ port: 7001 }, { port: 7002, protocol: UDP }]
`);
      const near = world.lab.pod('near');
      const outside = world.lab.external('outside');
      using open = new Connections(world.lab, 'near', 'outside', 7001);
      await open.flow();
      using heard = new IcmpListener(near);
      const flow = { source: familyAddress(near, 4), destination: familyAddress(outside, 4), destinationPort: 7002 };
      const aboutOpen = fragmentationNeeded({ ...flow, sourcePort: open.udp.sourcePort });
      const aboutNothing = fragmentationNeeded({ ...flow, sourcePort: open.udp.sourcePort ^ 1 });
      sendRaw(outside, flow.source, aboutNothing);
      sendRaw(outside, flow.source, aboutOpen);
      await heard.until((messages) => messages.some((message) => message.equals(aboutOpen)));
      expect(heard.messages.filter((message) => message.equals(aboutNothing))).toEqual([]);
    });

    describe('over a router with a smaller MTU, between isolated pods', () => {
      beforeAll(async () => {
        await narrowRoutes(world, SMALL_MTU);
      });

      test.each([4, 6] as const)('IPv%i: TCP learns the size in both directions and loses nothing', async (family) => {
        await world.policies(nearCallsFar(PORTS));
        const [near, far] = [world.lab.pod('near'), world.lab.pod('far')];
        await forgetPathMtu(world.lab, near, far);
        const bytes = await transfer(near, far, family, 7001, 300_000);
        expect(bytes).toEqual({ toServer: 300_000, toClient: 300_000 });
        const learnt = [await pathMtu(world.lab, near, far, family), await pathMtu(world.lab, far, near, family)];
        expect(learnt).toEqual([SMALL_MTU, SMALL_MTU]);
      });

      test.each([4, 6] as const)('IPv%i: a sender of UDP learns that its datagram is too long', async (family) => {
        await world.policies(nearCallsFar(PORTS));
        const [near, far] = [world.lab.pod('near'), world.lab.pod('far')];
        await forgetPathMtu(world.lab, near, far);
        expect(await sendUntilTooLong(near, far, family, 7002, 1400)).toBe('EMSGSIZE');
        expect(await pathMtu(world.lab, near, far, family)).toBe(SMALL_MTU);
      });
    });
  });
});

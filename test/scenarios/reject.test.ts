/** `--deny reject`: a denied sender learns it at once, by the error of its protocol. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from './connections.ts';
import { expectReachability } from './reachability.ts';
import { pod, World } from './world.ts';

const OBJECTS = [
  pod('web', { app: 'web' }, ['80', '80/UDP']),
  pod('client', { app: 'client' }, ['80']),
  pod('guest', { app: 'guest' }, ['80', '80/UDP']),
];

const WEB_HEARS_CLIENT = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web }
spec:
  podSelector: { matchLabels: { app: web } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: client } } }]
`;

const GUEST_IS_KEPT_IN = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: guest }
spec:
  podSelector: { matchLabels: { app: guest } }
  policyTypes: [Egress]
`;

describeAsRoot('--deny reject', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start(OBJECTS, { load: { families: ['IPv4', 'IPv6'] }, agents: { deny: 'reject' } });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test.each([
    ['ingress', WEB_HEARS_CLIENT],
    ['egress', GUEST_IS_KEPT_IN],
  ])('%s: TCP is answered with a reset, UDP with an ICMP error "prohibited"', async (_, policies) => {
    await world.policies(policies);
    await expectReachability(
      world.lab,
      `
                web:80  web:80/UDP
        client  .       .
        guest   x       x
      `,
    );
    const results = await world.lab.probe({ from: 'default/guest', to: 'default/web' });
    const answers = results.map(({ protocol, address, detail }) => {
      return [protocol, address.includes(':') ? 'IPv6' : 'IPv4', detail].join(' ');
    });
    // ICMP type 3 code 13 and ICMPv6 type 1 code 1, as the kernel reports them to a socket
    // (icmp_err_convert, icmpv6_err_convert).
    expect(answers.sort()).toEqual([
      'TCP IPv4 ECONNREFUSED',
      'TCP IPv6 ECONNREFUSED',
      'UDP IPv4 EHOSTUNREACH',
      'UDP IPv6 EACCES',
    ]);
  });

  test('an open connection that is no longer allowed is reset', async () => {
    await world.policies('');
    using concerned = new Connections(world.lab, 'guest', 'web', 7001);
    using allowed = new Connections(world.lab, 'client', 'web', 7003);
    await concerned.flow();
    await allowed.flow();

    await world.policies(WEB_HEARS_CLIENT);
    await expectCut(concerned);
    expect(concerned.tcp.ending).toMatch(/ECONNRESET|ECONNREFUSED/);
    await allowed.expectNothingLost();
  });
});

/** IPv6, alone and with IPv4. */
import { afterAll, beforeAll, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from './connections.ts';
import { expectReachability } from './reachability.ts';
import { pod, service, World } from './world.ts';

const WEB = pod('web', { app: 'web' }, ['http=80', '53/UDP', '80/SCTP']);
const CLIENT = pod('client', { app: 'client' }, ['80']);
const GUEST = pod('guest', { app: 'guest' }, ['80']);

const WEB_HEARS_CLIENT = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web }
spec:
  podSelector: { matchLabels: { app: web } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: client } } }]
`;

const webHears = (peers: string) => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web }
spec:
  podSelector: { matchLabels: { app: web } }
  ingress:
    - from: ${peers}
      ports: [{ port: http }, { port: 53, protocol: UDP }, { port: 80, protocol: SCTP }]
`;

describeAsRoot('IPv6 alone', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start([WEB, CLIENT, GUEST, service('web', { app: 'web' }, ['81:http', '53:53/UDP'])], {
      load: { families: ['IPv6'] },
      externals: [
        { name: 'office', address: '2001:db8:1::10' },
        { name: 'printer', address: '2001:db8:1:8000::10' },
      ],
    });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('without a policy everything is open', async () => {
    await world.policies('');
    await expectReachability(
      world.lab,
      `
                 web:80  web:53/UDP  web:80/SCTP  service/web:81  service/web:53/UDP  client:80
        client   .       .           .            .               .                   -
        guest    .       .           .            .               .                   .
        office   .       .           .            -               -                   .
      `,
    );
  });

  test('selectors, named ports, protocols and Services', async () => {
    await world.policies(webHears('[{ podSelector: { matchLabels: { app: client } } }]'));
    await expectReachability(
      world.lab,
      `
                 web:80  web:53/UDP  web:80/SCTP  service/web:81  service/web:53/UDP  client:80
        client   .       .           .            .               .                   -
        guest    x       x           x            x               x                   .
        web      -       -           -            .               .                   .
        office   x       x           x            -               -                   .
      `,
    );
  });

  test('ipBlock with except', async () => {
    await world.policies(webHears('[{ ipBlock: { cidr: "2001:db8:1::/48", except: ["2001:db8:1:8000::/49"] } }]'));
    await expectReachability(
      world.lab,
      `
                 web:80  web:53/UDP
        client   x       x
        office   .       .
        printer  x       x
      `,
    );
  });

  test('a changed policy cuts open connections in both directions, and disturbs no others', async () => {
    await world.policies('');
    using concerned = new Connections(world.lab, 'guest', 'web', 7001, { family: 6 });
    using allowed = new Connections(world.lab, 'client', 'web', 7003, { family: 6 });
    await concerned.flow();
    await allowed.flow();

    await world.policies(WEB_HEARS_CLIENT);
    await expectCut(concerned);
    await allowed.expectNothingLost();

    await world.policies('');
    await concerned.flow();
  });
});

describeAsRoot('Dual stack', () => {
  const DUAL_SERVICE = service('web', { app: 'web' }, ['81:http'], { ipFamilyPolicy: 'RequireDualStack' });
  let world: World;
  beforeAll(async () => {
    world = await World.start([WEB, CLIENT, GUEST, DUAL_SERVICE], {
      load: { families: ['IPv4', 'IPv6'] },
      externals: [
        { name: 'office', address: '192.0.2.10' },
        { name: 'office', address: '2001:db8:1::10' },
      ],
    });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('a selector matches both addresses of a pod, and a pod reaches itself over both', async () => {
    await world.policies(WEB_HEARS_CLIENT);
    await expectReachability(
      world.lab,
      `
                 web:80@4  web:80@6  web:53/UDP@4  web:53/UDP@6  service/web:81@4  service/web:81@6
        client   .         .         .             .             .                 .
        guest    x         x         x             x             x                 x
        web      -         -         -             -             .                 .
        office   x         x         x             x             -                 -
      `,
    );
  });

  test('a block of one family says nothing about the other', async () => {
    await world.policies(webHears('[{ ipBlock: { cidr: 192.0.2.0/24 } }]'));
    await expectReachability(
      world.lab,
      `
                 web:80@4  web:80@6
        office   .         x
        client   x         x
      `,
    );
    await world.policies(webHears('[{ ipBlock: { cidr: "::/0" } }]'));
    await expectReachability(
      world.lab,
      `
                 web:80@4  web:80@6
        office   x         .
        client   x         .
      `,
    );
  });

  test('a change cuts open connections over both families', async () => {
    await world.policies(WEB_HEARS_CLIENT);
    using over4 = new Connections(world.lab, 'client', 'web', 7001, { family: 4 });
    using over6 = new Connections(world.lab, 'client', 'web', 7001, { family: 6 });
    await Promise.all([over4.flow(), over6.flow()]);
    await world.policies(webHears('[{ podSelector: { matchLabels: { app: client } } }]'));
    await Promise.all([expectCut(over4), expectCut(over6)]);
  });
});

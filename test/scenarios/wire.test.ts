/**
 * Pods on wires: no queue, no steering; podfence carries or drops every frame between a pod and its
 * node.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from './connections.ts';
import { transfer } from './large-packets.ts';
import { expectReachability } from './reachability.ts';
import { pod, service, World } from './world.ts';

const OBJECTS = [
  pod('web', { app: 'web' }, ['80'], { node: 'node-1' }),
  pod('api', { app: 'api' }, ['80', '53/UDP', '99/SCTP'], { node: 'node-1' }),
  pod('db', { app: 'db' }, ['80', '53/UDP', '99/SCTP'], { node: 'node-2' }),
  service('db', { app: 'db' }, ['5432:80']),
];

const ONLY_API = `
  apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: { name: db }
  spec:
    podSelector: { matchLabels: { app: db } }
    ingress:
      - from: [{ podSelector: { matchLabels: { app: api } } }]
        ports: [{ port: 80 }, { port: 7000, endPort: 7001 }, { protocol: UDP, port: 53 }, { protocol: UDP, port: 7001 }, { protocol: SCTP, port: 99 }]
`;

describeAsRoot('Pods on wires', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start(OBJECTS, {
      capture: 'wire',
      externals: [
        { name: 'outside', address: '192.0.2.10' },
        { name: 'outside', address: '2001:db8::10' },
      ],
      load: { families: ['IPv4', 'IPv6'] },
    });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('reach each other as the policies say: on one node and across nodes, over all protocols and both families, and through Services', async () => {
    await world.policies(ONLY_API);
    await expectReachability(
      world.lab,
      `
                 web:80  api:80  db:80@4  db:80@6  db:53/UDP  db:99/SCTP  service/db:5432
        web      -       .       x        x        x          x           x
        api      .       -       .        .        .          .           .
        outside  .       .       x        x        x          x           -
      `,
    );
  });

  test('keep open connections that an edit allows, and lose those that it denies', async () => {
    await world.policies('');
    using kept = new Connections(world.lab, 'api', 'db', 7000);
    using cut = new Connections(world.lab, 'web', 'db', 7002);
    await Promise.all([kept.flow(), cut.flow()]);
    await world.policies(ONLY_API);
    await expectCut(cut);
    await kept.flow();
    await world.policies('');
    await cut.flow();
    await kept.expectNothingLost();
  });

  test('move large amounts of data across nodes', async () => {
    await world.policies(ONLY_API);
    const bytes = 8 << 20;
    const [api, db] = [world.lab.pod('api'), world.lab.pod('db')];
    expect(await transfer(api, db, 6, 7000, bytes)).toEqual({ toServer: bytes, toClient: bytes });
  });

  test('are added and removed', async () => {
    await world.change([...OBJECTS, pod('guest', { app: 'api' }, ['80'], { node: 'node-2' })], ONLY_API);
    await expectReachability(
      world.lab,
      `
               db:80  guest:80
        web    x      .
        guest  .      -
      `,
    );
    await world.change(OBJECTS, ONLY_API);
    await expectReachability(
      world.lab,
      `
             db:80
        web  x
        api  .
      `,
    );
  });
});

/**
 * Two nodes with an agent each: egress is judged on the source pod's node, ingress on the
 * destination pod's node.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from './connections.ts';
import { expectReachability } from './reachability.ts';
import { pod, service, World } from './world.ts';

const OBJECTS = [
  pod('near', { app: 'near' }, ['80'], { node: 'one' }),
  pod('mate', { app: 'mate' }, ['80'], { node: 'one' }),
  pod('far', { app: 'far' }, ['80', '53/UDP'], { node: 'two' }),
  pod('daemon', { app: 'daemon' }, ['9100'], { node: 'one', hostNetwork: true }),
  service('far', { app: 'far' }, ['81:80', '53:53/UDP']),
];

const FAR_HEARS_NEAR = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: far }
spec:
  podSelector: { matchLabels: { app: far } }
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{ podSelector: { matchLabels: { app: near } } }]
`;

const NEAR_IS_KEPT_IN = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: near }
spec:
  podSelector: { matchLabels: { app: near } }
  policyTypes: [Egress]
  egress:
    - to: [{ podSelector: { matchLabels: { app: mate } } }]
`;

describeAsRoot('Two nodes', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start(OBJECTS, {
      nodes: ['one', 'two'],
      externals: [{ name: 'outside', address: '192.0.2.10' }],
    });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('without a policy everything is open across nodes', async () => {
    await world.policies('');
    await expectReachability(
      world.lab,
      `
                 near:80  mate:80  far:80  far:53/UDP  service/far:81  daemon:9100
        near     -        .        .       .           .               .
        mate     .        -        .       .           .               .
        far      .        .        -       -           .               .
        daemon   .        .        .       .           .               -
        outside  .        .        .       .           -               .
      `,
    );
    expect([world.lab.pod('near').node, world.lab.pod('far').node]).toEqual(['one', 'two']);
  });

  test('the destination’s node denies what its ingress does not allow', async () => {
    await world.policies(FAR_HEARS_NEAR);
    await expectReachability(
      world.lab,
      `
                 near:80  mate:80  far:80  far:53/UDP  service/far:81  service/far:53/UDP
        near     -        .        .       .           .               .
        mate     .        -        x       x           x               x
        far      x        x        -       -           .               .
        daemon   .        .        x       x           x               x
        outside  .        .        x       x           -               -
      `,
    );
  });

  test('the source’s node denies what its egress does not allow', async () => {
    await world.policies(NEAR_IS_KEPT_IN);
    await expectReachability(
      world.lab,
      `
                 near:80  mate:80  far:80  service/far:81
        near     -        .        x       x
        mate     .        -        .       .
        far      .        .        -       .
        outside  .        .        .       -
      `,
    );
  });

  test('both nodes must allow', async () => {
    await world.policies(`${FAR_HEARS_NEAR}---${NEAR_IS_KEPT_IN}`);
    await expectReachability(
      world.lab,
      `
                 near:80  mate:80  far:80  service/far:81
        near     -        .        x       x
        mate     .        -        x       x
        far      x        x        -       .
      `,
    );
  });

  test('a pod and its own node always reach each other; traffic from another node is judged', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: default-deny }
      spec:
        podSelector: {}
        policyTypes: [Ingress, Egress]
    `);
    await expectReachability(
      world.lab,
      `
                 near:80  mate:80  far:80  daemon:9100
        near     -        x        x       .
        mate     x        -        x       .
        far      x        x        -       x
        daemon   .        .        x       -
        outside  x        x        x       .
      `,
    );
  });

  test.each([
    ['source’s', `${FAR_HEARS_NEAR}---${NEAR_IS_KEPT_IN}`],
    ['destination’s', FAR_HEARS_NEAR.replace('app: near', 'app: nobody')],
  ])('a change on the %s node cuts the connections between two nodes, in both directions', async (_, denying) => {
    await world.policies(FAR_HEARS_NEAR);
    using concerned = new Connections(world.lab, 'near', 'far', 7001);
    using unconcerned = new Connections(world.lab, 'near', 'mate', 7001);
    await concerned.flow();
    await unconcerned.flow();

    await world.policies(denying);
    await expectCut(concerned);

    await world.policies(FAR_HEARS_NEAR);
    await concerned.flow();
    await unconcerned.expectNothingLost();
  });

  test('a pod that is relabelled on one node loses its connections to the other', async () => {
    await world.policies(FAR_HEARS_NEAR);
    using concerned = new Connections(world.lab, 'near', 'far', 7001);
    await concerned.flow();
    const relabelled = pod('near', { app: 'nobody' }, ['80'], { node: 'one' });
    await world.change([relabelled, ...OBJECTS.slice(1)], FAR_HEARS_NEAR);
    await expectCut(concerned);
    await world.change(OBJECTS, FAR_HEARS_NEAR);
    await concerned.flow();
  });
});

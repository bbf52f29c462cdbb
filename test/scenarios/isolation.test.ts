/** What isolates a pod, and what isolation denies. */
import { afterAll, beforeAll, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { expectReachability } from './reachability.ts';
import { pod, World } from './world.ts';

const OBJECTS = [
  pod('web', { app: 'web' }, ['80']),
  pod('api', { app: 'api' }, ['80']),
  pod('db', { app: 'db' }, ['80']),
  pod('other/guest', { app: 'guest' }, ['80']),
];

describeAsRoot('Isolation', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start(OBJECTS, { externals: [{ name: 'outside', address: '192.0.2.10' }] });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('without a policy everything is open', async () => {
    await world.policies('');
    await expectReachability(
      world.lab,
      `
                     web:80  api:80  db:80  other/guest:80
        web          -       .       .      .
        api          .       -       .      .
        db           .       .       -      .
        other/guest  .       .       .      -
        outside      .       .       .      .
      `,
    );
  });

  test('default deny of ingress closes the pods of its namespace to everyone, and they still reach others', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: default-deny }
      spec:
        podSelector: {}
        policyTypes: [Ingress]
    `);
    await expectReachability(
      world.lab,
      `
                     web:80  api:80  db:80  other/guest:80
        web          -       x       x      .
        api          x       -       x      .
        db           x       x       -      .
        other/guest  x       x       x      -
        outside      x       x       x      .
      `,
    );
  });

  test('default deny of egress keeps the pods of its namespace in, and others still reach them', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: default-deny }
      spec:
        podSelector: {}
        policyTypes: [Egress]
    `);
    await expectReachability(
      world.lab,
      `
                     web:80  api:80  db:80  other/guest:80
        web          -       x       x      x
        api          x       -       x      x
        db           x       x       -      x
        other/guest  .       .       .      -
        outside      .       .       .      .
      `,
    );
  });

  test('default deny of both cuts the namespace off', async () => {
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
                     web:80  api:80  db:80  other/guest:80
        web          -       x       x      x
        api          x       -       x      x
        db           x       x       -      x
        other/guest  x       x       x      -
        outside      x       x       x      .
      `,
    );
  });

  test('ingress `- {}` lets everyone in, `[]` lets no one in', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: everybody }
      spec:
        podSelector: { matchLabels: { app: web } }
        ingress:
          - {}
      ---
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: nobody }
      spec:
        podSelector: { matchLabels: { app: api } }
        ingress: []
    `);
    await expectReachability(
      world.lab,
      `
                     web:80  api:80  db:80
        web          -       x       .
        api          .       -       .
        db           .       x       -
        other/guest  .       x       .
        outside      .       x       .
      `,
    );
  });

  test('egress `- {}` lets a pod out everywhere, `[]` lets it out nowhere', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: everywhere }
      spec:
        podSelector: { matchLabels: { app: web } }
        policyTypes: [Egress]
        egress:
          - {}
      ---
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: nowhere }
      spec:
        podSelector: { matchLabels: { app: api } }
        policyTypes: [Egress]
        egress: []
    `);
    await expectReachability(
      world.lab,
      `
                     web:80  api:80  db:80  other/guest:80
        web          -       .       .      .
        api          x       -       x      x
        db           .       .       -      .
      `,
    );
  });

  test('policyTypes absent: without egress rules only ingress is isolated', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: web }
      spec:
        podSelector: { matchLabels: { app: web } }
        ingress:
          - from: [{ podSelector: { matchLabels: { app: api } } }]
    `);
    await expectReachability(
      world.lab,
      `
                     web:80  api:80  db:80  other/guest:80
        web          -       .       .      .
        api          .       -       .      .
        db           x       .       -      .
        outside      x       .       .      .
      `,
    );
  });

  test('policyTypes absent: with egress rules both directions are isolated, and ingress allows nothing', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: web }
      spec:
        podSelector: { matchLabels: { app: web } }
        egress:
          - to: [{ podSelector: { matchLabels: { app: api } } }]
    `);
    await expectReachability(
      world.lab,
      `
                     web:80  api:80  db:80  other/guest:80
        web          -       .       x      x
        api          x       -       .      .
        db           x       .       -      .
        outside      x       .       .      .
      `,
    );
  });

  test('two policies on a pod add up, and a direction that only one of them isolates stays isolated', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: from-api }
      spec:
        podSelector: { matchLabels: { app: web } }
        policyTypes: [Ingress, Egress]
        ingress:
          - from: [{ podSelector: { matchLabels: { app: api } } }]
      ---
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: from-db }
      spec:
        podSelector: {}
        ingress:
          - from: [{ podSelector: { matchLabels: { app: db } } }]
    `);
    await expectReachability(
      world.lab,
      `
                     web:80  api:80  db:80  other/guest:80
        web          -       x       x      x
        api          .       -       x      .
        db           .       .       -      .
        other/guest  x       x       x      -
        outside      x       x       x      .
      `,
    );
  });
});

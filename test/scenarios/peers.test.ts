/**
 * The peers that a rule matches: selectors of pods and namespaces, alone and combined, and blocks
 * of addresses.
 */
import { afterAll, beforeAll, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from './connections.ts';
import { expectReachability } from './reachability.ts';
import { namespace, pod, World } from './world.ts';

const OBJECTS = [
  namespace('shop', { team: 'shop' }),
  namespace('ops', { team: 'ops', stage: 'production' }),
  namespace('lab', { stage: 'test' }),
  pod('shop/web', { app: 'web', tier: 'front' }, ['80'], { addresses: ['10.244.1.10'] }),
  pod('shop/db', { app: 'db', tier: 'back' }, ['80'], { addresses: ['10.244.1.20'] }),
  pod('ops/probe', { app: 'probe', tier: 'front' }, ['80'], { addresses: ['10.244.2.10'] }),
  pod('ops/web', { app: 'web' }, ['80'], { addresses: ['10.244.2.20'] }),
  pod('lab/web', { app: 'web' }, ['80'], { addresses: ['10.244.3.10'] }),
];

/** A policy for the shop's database that hears only the given peers. */
const databaseHears = (peers: string) => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: database, namespace: shop }
spec:
  podSelector: { matchLabels: { app: db } }
  ingress:
    - from: ${peers}
`;

describeAsRoot('Peers', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start(OBJECTS, {
      externals: [
        { name: 'office', address: '192.0.2.10' },
        { name: 'printer', address: '192.0.2.130' },
        { name: 'backup', address: '198.51.100.7' },
      ],
    });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('`podSelector: {}` isolates a namespace from the others, and its pods reach each other', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: own-namespace, namespace: shop }
      spec:
        podSelector: {}
        ingress:
          - from: [{ podSelector: {} }]
    `);
    await expectReachability(
      world.lab,
      `
                   shop/web:80  shop/db:80  ops/probe:80
        shop/web   -            .           .
        shop/db    .            -           .
        ops/probe  x            x           -
        ops/web    x            x           .
        lab/web    x            x           .
        office     x            x           .
      `,
    );
  });

  test('a namespace label lets in the pods of every namespace that has it, but of no other, not even its own', async () => {
    await world.policies(databaseHears('[{ namespaceSelector: { matchLabels: { team: ops } } }]'));
    await expectReachability(
      world.lab,
      `
                   shop/db:80  shop/web:80
        shop/web   x           -
        ops/probe  .           .
        ops/web    .           .
        lab/web    x           .
        office     x           .
      `,
    );
  });

  test('kubernetes.io/metadata.name selects one namespace by its name', async () => {
    await world.policies(
      databaseHears('[{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: lab } } }]'),
    );
    await expectReachability(
      world.lab,
      `
                   shop/db:80
        shop/web   x
        ops/probe  x
        ops/web    x
        lab/web    .
        office     x
      `,
    );
  });

  test('`namespaceSelector: {}` means every pod of the cluster, and nobody outside', async () => {
    await world.policies(databaseHears('[{ namespaceSelector: {} }]'));
    await expectReachability(
      world.lab,
      `
                   shop/db:80
        shop/web   .
        ops/probe  .
        ops/web    .
        lab/web    .
        office     x
      `,
    );
  });

  test('two selectors in one entry must both match: AND', async () => {
    await world.policies(
      databaseHears(
        '[{ namespaceSelector: { matchLabels: { team: ops } }, podSelector: { matchLabels: { app: web } } }]',
      ),
    );
    await expectReachability(
      world.lab,
      `
                   shop/db:80
        shop/web   x
        ops/probe  x
        ops/web    .
        lab/web    x
        office     x
      `,
    );
  });

  test('two selectors in two entries: either suffices, the podSelector only in its own namespace: OR', async () => {
    await world.policies(
      databaseHears(
        '[{ namespaceSelector: { matchLabels: { team: ops } } }, { podSelector: { matchLabels: { app: web } } }]',
      ),
    );
    await expectReachability(
      world.lab,
      `
                   shop/db:80
        shop/web   .
        ops/probe  .
        ops/web    .
        lab/web    x
        office     x
      `,
    );
  });

  test.each([
    ['In', '{ key: stage, operator: In, values: [test, staging] }', 'x', 'x', '.'],
    ['NotIn, which also matches without the label', '{ key: stage, operator: NotIn, values: [test] }', '.', '.', 'x'],
    ['Exists', '{ key: stage, operator: Exists }', 'x', '.', '.'],
    ['DoesNotExist', '{ key: stage, operator: DoesNotExist }', '.', 'x', 'x'],
  ])('matchExpressions of a namespace: %s', async (_, expression, shop, ops, lab) => {
    await world.policies(databaseHears(`[{ namespaceSelector: { matchExpressions: [${expression}] } }]`));
    await expectReachability(
      world.lab,
      `
                   shop/db:80
        shop/web   ${shop}
        ops/probe  ${ops}
        ops/web    ${ops}
        lab/web    ${lab}
        office     x
      `,
    );
  });

  test('matchExpressions of pods: all of them must match', async () => {
    const peers = `
      - namespaceSelector: {}
        podSelector:
          matchExpressions:
            - { key: app, operator: In, values: [web, probe] }
            - { key: tier, operator: Exists }
            - { key: app, operator: NotIn, values: [probe] }`;
    await world.policies(databaseHears(peers));
    await expectReachability(
      world.lab,
      `
                   shop/db:80
        shop/web   .
        ops/probe  x
        ops/web    x
        lab/web    x
      `,
    );
  });

  test('the pods that a policy isolates can be selected by an expression', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: not-front, namespace: shop }
      spec:
        podSelector: { matchExpressions: [{ key: tier, operator: NotIn, values: [front] }] }
        policyTypes: [Ingress]
    `);
    await expectReachability(
      world.lab,
      `
                   shop/web:80  shop/db:80
        shop/web   -            x
        shop/db    .            -
        ops/probe  .            x
      `,
    );
  });

  test('ipBlock with except lets in hosts of the block but not of the exception, and also pods by their address', async () => {
    await world.policies(
      databaseHears(
        '[{ ipBlock: { cidr: 192.0.2.0/24, except: [192.0.2.128/25] } }, { ipBlock: { cidr: 10.244.2.0/24, except: [10.244.2.10/32] } }]',
      ),
    );
    await expectReachability(
      world.lab,
      `
                   shop/db:80
        office     .
        printer    x
        backup     x
        shop/web   x
        ops/probe  x
        ops/web    .
        lab/web    x
      `,
    );
  });

  test('an exception of one block does not apply to another', async () => {
    await world.policies(
      databaseHears(
        '[{ ipBlock: { cidr: 192.0.2.0/24, except: [192.0.2.128/25] } }, { ipBlock: { cidr: 192.0.2.130/32 } }]',
      ),
    );
    await expectReachability(
      world.lab,
      `
                   shop/db:80
        office     .
        printer    .
        backup     x
      `,
    );
  });

  test('ipBlock with except lets a pod out to the block but not to the exception', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: egress, namespace: shop }
      spec:
        podSelector: { matchLabels: { app: db } }
        policyTypes: [Egress]
        egress:
          - to: [{ ipBlock: { cidr: 10.244.0.0/16, except: [10.244.2.0/28] } }]
    `);
    await expectReachability(
      world.lab,
      `
                   shop/web:80  ops/probe:80  ops/web:80  lab/web:80
        shop/db    .            x             .           .
        shop/web   -            .             .           .
      `,
    );
  });

  test('a backup server outside the cluster can be called, on its port, only by the pod that is allowed to', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: default-deny, namespace: shop }
      spec:
        podSelector: {}
        policyTypes: [Ingress, Egress]
      ---
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: backup, namespace: shop }
      spec:
        podSelector: { matchLabels: { app: db } }
        policyTypes: [Egress]
        egress:
          - to: [{ ipBlock: { cidr: 198.51.100.7/32 } }]
            ports:
              - { port: 873 }
              - { port: 874, protocol: UDP }
    `);
    using allowed = new Connections(world.lab, 'shop/db', 'backup', 873);
    using otherPod = new Connections(world.lab, 'shop/web', 'backup', 875);
    using otherPort = new Connections(world.lab, 'shop/db', 'backup', 877);
    using otherHost = new Connections(world.lab, 'shop/db', 'office', 873);
    using backwards = new Connections(world.lab, 'backup', 'shop/db', 873);
    await allowed.flow();
    await Promise.all([otherPod, otherPort, otherHost, backwards].map(expectCut));
    await allowed.expectNothingLost();
  });
});

/**
 * The classic application: a frontend, a backend, a database, and the cluster's DNS, over UDP and
 * TCP.
 */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { expectReachability } from './reachability.ts';
import { namespace, pod, service, World } from './world.ts';

const FRONTEND = pod('shop/frontend', { app: 'frontend' }, ['8080']);
const BACKEND = pod('shop/backend', { app: 'backend' }, ['api=9000', 'metrics=9090']);
const DNS = pod('kube-system/dns', { 'k8s-app': 'kube-dns' }, ['53', '53/UDP']);
const STRANGER = pod('elsewhere/stranger', { app: 'backend' }, ['7000']);
const COMMON = [
  namespace('shop'),
  FRONTEND,
  BACKEND,
  DNS,
  STRANGER,
  service('shop/backend', { app: 'backend' }, ['80:api']),
  service('kube-system/dns', { 'k8s-app': 'kube-dns' }, ['53:53', '53:53/UDP']),
];

const SHOP_POLICIES = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: default-deny, namespace: shop }
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: dns, namespace: shop }
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: kube-system } }
          podSelector: { matchLabels: { k8s-app: kube-dns } }
      ports:
        - { protocol: UDP, port: 53 }
        - { protocol: TCP, port: 53 }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: frontend, namespace: shop }
spec:
  podSelector: { matchLabels: { app: frontend } }
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{ ipBlock: { cidr: 192.0.2.0/24 } }]
      ports: [{ port: 8080 }]
  egress:
    - to: [{ podSelector: { matchLabels: { app: backend } } }]
      ports: [{ port: api }]
`;

const backend = (databaseNamespace: string) => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: backend, namespace: shop }
spec:
  podSelector: { matchLabels: { app: backend } }
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{ podSelector: { matchLabels: { app: frontend } } }]
      ports: [{ port: api }]
  egress:
    - to:
        - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: ${databaseNamespace} } }
          podSelector: { matchLabels: { app: database } }
      ports: [{ port: 5432 }]
`;

/** The database answers the shop's backend and may not open connections. */
const database = (ownNamespace: string) => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: database, namespace: ${ownNamespace} }
spec:
  podSelector: { matchLabels: { app: database } }
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: shop } }
          podSelector: { matchLabels: { app: backend } }
      ports: [{ port: 5432 }]
`;

describeAsRoot('Three tiers', () => {
  describe.each([
    { name: 'with offload', offload: true, capture: 'queue' },
    { name: 'with --no-offload', offload: false, capture: 'queue' },
    { name: 'with each pod on a wire', offload: true, capture: 'wire' },
  ] as const)('$name', ({ offload, capture }) => {
    let world: World;
    beforeAll(async () => {
      world = await World.start([...COMMON, pod('shop/database', { app: 'database' }, ['5432'])], {
        externals: [
          { name: 'client', address: '192.0.2.10' },
          { name: 'crawler', address: '198.51.100.7' },
        ],
        agents: { offload },
        capture,
      });
    });
    afterAll(async () => {
      await world[Symbol.asyncDispose]();
    });

    test('in one namespace, with DNS over UDP and TCP, each tier reaches the next and nothing else', async () => {
      await world.policies([SHOP_POLICIES, backend('shop'), database('shop')].join('---'));
      await expectReachability(
        world.lab,
        `
                            shop/frontend:8080  shop/backend:9000  shop/backend:9090  service/shop/backend:80  shop/database:5432
        shop/frontend       -                   .                  x                  .                        x
        shop/backend        x                   -                  -                  .                        .
        shop/database       x                   x                  x                  x                        -
        kube-system/dns     x                   x                  x                  x                        x
        elsewhere/stranger  x                   x                  x                  x                        x
        client              .                   x                  x                  -                        x
        crawler             x                   x                  x                  -                        x
        `,
      );
      await expectReachability(
        world.lab,
        `
                            kube-system/dns:53  kube-system/dns:53/UDP  service/kube-system/dns:53  service/kube-system/dns:53/UDP  elsewhere/stranger:7000
        shop/frontend       .                   .                       .                           .                               x
        shop/backend        .                   .                       .                           .                               x
        shop/database       .                   .                       .                           .                               x
        elsewhere/stranger  .                   .                       .                           .                               -
        client              .                   .                       -                           -                               .
        `,
      );
    });

    test('a database answers and may not open a connection, not even to those that it answers', async () => {
      await world.policies(database('shop'));
      await expectReachability(
        world.lab,
        `
                            shop/database:5432  shop/backend:9000  kube-system/dns:53/UDP
        shop/backend        .                   -                  .
        shop/database       -                   x                  x
        shop/frontend       x                   .                  .
        client              x                   .                  .
        `,
      );
    });

    test('the same with the database in its own namespace, where DNS is not allowed', async () => {
      const objects = [...COMMON, namespace('data'), pod('data/database', { app: 'database' }, ['5432'])];
      await world.change(objects, [SHOP_POLICIES, backend('data'), database('data')].join('---'));
      await expectReachability(
        world.lab,
        `
                            shop/frontend:8080  shop/backend:9000  service/shop/backend:80  data/database:5432  kube-system/dns:53/UDP
        shop/frontend       -                   .                  .                        x                   .
        shop/backend        x                   -                  .                        .                   .
        data/database       x                   x                  x                        -                   x
        elsewhere/stranger  x                   x                  x                        x                   .
        client              .                   x                  -                        x                   .
        `,
      );
    });
  });
});

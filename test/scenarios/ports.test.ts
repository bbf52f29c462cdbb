/** The ports that a rule opens: by number, by range, by name, and by protocol. */
import { afterAll, beforeAll, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { expectReachability } from './reachability.ts';
import { pod, World } from './world.ts';

const OBJECTS = [
  pod('frontend', { app: 'frontend' }, ['80']),
  pod('backend', { app: 'backend', role: 'server' }, [
    'api=8080',
    'metrics=9090',
    '8081',
    '8082',
    '8083',
    '8080/UDP',
    '8080/SCTP',
    '9090/SCTP',
  ]),
  pod('legacy', { app: 'legacy', role: 'server' }, ['api=9090', '8080', 'api=8080/UDP']),
];

/** A policy for the servers that lets the frontend in on the given ports. */
const serversHear = (ports: string) => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: servers }
spec:
  podSelector: { matchLabels: { role: server } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: frontend } } }]
      ports: ${ports}
`;

describeAsRoot('Ports', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start(OBJECTS, { externals: [{ name: 'outside', address: '192.0.2.10' }] });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('frontend to backend on one port only', async () => {
    await world.policies(serversHear('[{ protocol: TCP, port: 8080 }]'));
    await expectReachability(
      world.lab,
      `
                  backend:8080  backend:8081  backend:9090  backend:8080/UDP  backend:8080/SCTP  frontend:80
        frontend  .             x             x             x                 x                  -
        outside   x             x             x             x                 x                  .
        backend   -             -             -             -                 -                  .
      `,
    );
  });

  test('endPort opens a range with both its ends, and nothing beside it', async () => {
    await world.policies(serversHear('[{ protocol: TCP, port: 8081, endPort: 8082 }]'));
    await expectReachability(
      world.lab,
      `
                  backend:8080  backend:8081  backend:8082  backend:8083  backend:9090  backend:8080/UDP
        frontend  x             .             .             x             x             x
        outside   x             x             x             x             x             x
      `,
    );
  });

  test('a port without a number opens every port of its protocol, which defaults to TCP', async () => {
    await world.policies(serversHear('[{ protocol: UDP }]'));
    await expectReachability(
      world.lab,
      `
                  backend:8080  backend:8080/UDP  backend:8080/SCTP  legacy:8080/UDP  legacy:9090
        frontend  x             .                 x                  .                x
      `,
    );
    await world.policies(serversHear('[{}]'));
    await expectReachability(
      world.lab,
      `
                  backend:8080  backend:9090  backend:8080/UDP  backend:8080/SCTP
        frontend  .             .             x                 x
      `,
    );
  });

  test('a named port of ingress is each pod’s own number, for the same protocol', async () => {
    await world.policies(serversHear('[{ port: api }]'));
    await expectReachability(
      world.lab,
      `
                  backend:8080  backend:9090  backend:8080/UDP  legacy:8080  legacy:9090  legacy:8080/UDP
        frontend  .             x             x                 x            .            x
      `,
    );
    await world.policies(serversHear('[{ port: api, protocol: UDP }]'));
    await expectReachability(
      world.lab,
      `
                  backend:8080  backend:9090  backend:8080/UDP  legacy:8080  legacy:9090  legacy:8080/UDP
        frontend  x             x             x                 x            x            .
      `,
    );
  });

  test('a named port of egress is the number that each destination gives it', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: frontend }
      spec:
        podSelector: { matchLabels: { app: frontend } }
        policyTypes: [Egress]
        egress:
          - ports: [{ port: api }]
    `);
    await expectReachability(
      world.lab,
      `
                  backend:8080  backend:9090  legacy:8080  legacy:9090  legacy:8080/UDP
        frontend  .             x             x            .            x
        outside   .             .             .            .            .
      `,
    );
  });

  test('a name that no pod has opens nothing', async () => {
    await world.policies(serversHear('[{ port: nothing }]'));
    await expectReachability(
      world.lab,
      `
                  backend:8080  legacy:9090
        frontend  x             x
      `,
    );
  });

  test('a UDP rule opens the UDP port and not the TCP or SCTP port of the same number', async () => {
    await world.policies(serversHear('[{ protocol: UDP, port: 8080 }]'));
    await expectReachability(
      world.lab,
      `
                  backend:8080  backend:8080/UDP  backend:8080/SCTP
        frontend  x             .                 x
        outside   x             x                 x
      `,
    );
  });

  test('an SCTP rule opens the SCTP port and not the TCP or UDP port of the same number', async () => {
    await world.policies(serversHear('[{ protocol: SCTP, port: 8080 }]'));
    await expectReachability(
      world.lab,
      `
                  backend:8080  backend:8080/UDP  backend:8080/SCTP  backend:9090/SCTP
        frontend  x             x                 .                  x
        outside   x             x                 x                  x
      `,
    );
  });

  test('rules of one policy do not mix: a peer may only use the ports of its own rule', async () => {
    await world.policies(`
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: { name: backend }
      spec:
        podSelector: { matchLabels: { app: backend } }
        ingress:
          - from: [{ podSelector: { matchLabels: { app: frontend } } }]
            ports: [{ port: 8080 }]
          - from: [{ ipBlock: { cidr: 192.0.2.0/24 } }]
            ports: [{ port: 8081 }]
          - ports: [{ port: metrics }]
    `);
    await expectReachability(
      world.lab,
      `
                  backend:8080  backend:8081  backend:9090  backend:9090/SCTP
        frontend  .             x             .             x
        outside   x             .             .             x
        legacy    x             x             .             x
      `,
    );
  });
});

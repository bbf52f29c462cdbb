/** Services: policies see the pods behind them, never the Services' addresses. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from './connections.ts';
import { askInPairs } from './query-pairs.ts';
import { expectReachability } from './reachability.ts';
import { pod, service, World } from './world.ts';

const WEB_IP = '10.96.0.80';
const DNS_IP = '10.96.0.10';
const OBJECTS = [
  pod('web', { app: 'web' }, ['8080', '8080/UDP']),
  pod('client', { app: 'client' }, ['80']),
  pod('guest', { app: 'guest' }, ['80']),
  pod('dns-a', { app: 'dns' }, ['53/UDP', '53']),
  pod('dns-b', { app: 'dns' }, ['53/UDP', '53']),
  service('web', { app: 'web' }, ['80:8080', '80:8080/UDP'], { clusterIP: WEB_IP }),
  service('dns', { app: 'dns' }, ['53:53/UDP', '53:53'], { clusterIP: DNS_IP }),
  service('exposed', { app: 'web' }, ['81:8080'], { type: 'NodePort' }),
];

const DEFAULT_DENY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: default-deny }
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`;

const clientToWeb = (egress: string, ingress: string) => `${DEFAULT_DENY}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: client }
spec:
  podSelector: { matchLabels: { app: client } }
  policyTypes: [Egress]
  egress:
    - ${egress}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web }
spec:
  podSelector: { matchLabels: { app: web } }
  ingress:
    - ${ingress}
`;

const DNS_ALLOWED = `${DEFAULT_DENY}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: dns }
spec:
  podSelector: { matchLabels: { app: dns } }
  ingress:
    - ports: [{ port: 53, protocol: UDP }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ask-dns }
spec:
  podSelector: { matchLabels: { app: client } }
  policyTypes: [Egress]
  egress:
    - to: [{ podSelector: { matchLabels: { app: dns } } }]
      ports: [{ port: 53, protocol: UDP }]
`;

describeAsRoot('Services', () => {
  describe.each([
    { name: 'with offload', offload: true },
    { name: 'with --no-offload', offload: false },
  ])('$name', ({ offload }) => {
    let world: World;
    beforeAll(async () => {
      world = await World.start(OBJECTS, {
        externals: [{ name: 'outside', address: '192.0.2.10' }],
        agents: { offload },
      });
    });
    afterAll(async () => {
      await world[Symbol.asyncDispose]();
    });

    test('a rule names pods and their ports; a peer that may reach those may reach them through the Service', async () => {
      await world.policies(
        clientToWeb(
          '{ to: [{ podSelector: { matchLabels: { app: web } } }], ports: [{ port: 8080 }] }',
          '{ from: [{ podSelector: { matchLabels: { app: client } } }], ports: [{ port: 8080 }] }',
        ),
      );
      await expectReachability(
        world.lab,
        `
                 web:8080  service/web:80  web:8080/UDP  service/web:80/UDP  service/dns:53/UDP
        client   .         .               x             x                   x
        guest    x         x               x             x                   x
        `,
      );
    });

    test('the port of the Service itself opens nothing', async () => {
      await world.policies(
        clientToWeb(
          '{ to: [{ podSelector: { matchLabels: { app: web } } }], ports: [{ port: 80 }] }',
          '{ ports: [{ port: 8080 }] }',
        ),
      );
      await expectReachability(
        world.lab,
        `
                 web:8080  service/web:80
        client   x         x
        `,
      );
    });

    test('an ipBlock of the Service’s address matches nothing, because packets are judged after translation', async () => {
      await world.policies(clientToWeb(`{ to: [{ ipBlock: { cidr: ${WEB_IP}/32 } }] }`, '{}'));
      await expectReachability(
        world.lab,
        `
                 web:8080  service/web:80
        client   x         x
        `,
      );
    });

    test('an ipBlock that excepts the Service’s address takes nothing away from the pods behind it', async () => {
      await world.policies(clientToWeb(`{ to: [{ ipBlock: { cidr: 10.0.0.0/8, except: [${WEB_IP}/32] } }] }`, '{}'));
      await expectReachability(
        world.lab,
        `
                 web:8080  service/web:80
        client   .         .
        guest    x         x
        `,
      );
    });

    test('a pod reaches itself through its own Service, whatever isolates it', async () => {
      await world.policies(DEFAULT_DENY);
      await expectReachability(
        world.lab,
        `
                 service/web:80  service/web:80/UDP  service/exposed:81
        web      .               .                   .
        client   x               x                   x
        `,
      );
    });

    test('through a node port the sender’s own address is judged', async () => {
      const allow = (cidr: string) => clientToWeb('{}', `{ from: [{ ipBlock: { cidr: ${cidr} } }] }`);
      const nodePort = world.lab.probes({ via: 'node-port' })[0]?.port ?? 0;
      await world.policies(allow('192.0.2.10/32'));
      await expectReachability(
        world.lab,
        `
                 service/exposed:${nodePort}
        outside  .
        `,
      );
      await world.policies(allow('192.0.2.11/32'));
      await expectReachability(
        world.lab,
        `
                 service/exposed:${nodePort}
        outside  x
        `,
      );
    });

    test('a connection through a Service is cut when the pods behind it are no longer allowed', async () => {
      const allowed = clientToWeb('{ to: [{ podSelector: { matchLabels: { app: web } } }] }', '{}');
      await world.policies(allowed);
      // The lab listens on the port behind the Service: packets to it are redirected to our
      // servers.
      await redirect(world, 'web', 'tcp', 8080, 7001);
      await redirect(world, 'web', 'udp', 8080, 7002);
      using through = new Connections(world.lab, 'client', 'web', 7001, { service: { address: WEB_IP, port: 80 } });
      await through.flow();

      await world.policies(clientToWeb('{ to: [{ podSelector: { matchLabels: { app: dns } } }] }', '{}'));
      await expectCut(through);

      await world.policies(allowed);
      await through.flow();
    });

    test('two queries at once from one socket, a thousand times: all are answered', async () => {
      await world.policies(DNS_ALLOWED);
      await expectReachability(
        world.lab,
        `
                 service/dns:53/UDP  service/dns:53
        client   .                   x
        guest    x                   x
        `,
      );
      const { asked, unanswered } = await askInPairs(world.lab.pod('client'), DNS_IP, 53, 1000);
      expect({ asked, unanswered }).toEqual({ asked: 2000, unanswered: 0 });
    });
  });
});

async function redirect({ lab }: World, pod: string, protocol: string, from: number, to: number): Promise<void> {
  const rule = `-p ${protocol} --dport ${from} -j REDIRECT --to-ports ${to}`;
  const { code, stderr } = await lab.exec(pod, ['sh', '-c', `iptables -t nat -A PREROUTING ${rule}`]);
  if (code !== 0) throw new Error(stderr);
}

/**
 * Policies, pods and namespaces change while connections are open. A change is in force when
 * `apply` resolves: nothing denied passes from then on.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut, type SourcePorts } from './connections.ts';
import { SlowAnswers } from './slow-answers.ts';
import { namespace, pod, World } from './world.ts';

const SHOP = namespace('shop', { team: 'shop' });
const VISITORS = namespace('visitors', { team: 'trusted' });
const SERVER = pod('shop/server', { app: 'server' }, ['80']);
const CLIENT = pod('shop/client', { app: 'client' }, ['80'], { addresses: ['10.244.7.1'] });
const FRIEND = pod('shop/friend', { app: 'friend' }, ['80']);
const VISITOR = pod('visitors/visitor', { app: 'visitor' }, ['80']);
const OBJECTS = [SHOP, VISITORS, SERVER, CLIENT, FRIEND, VISITOR];

/** The server is isolated and only hears its friend. */
const FRIEND_ONLY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: friend, namespace: shop }
spec:
  podSelector: { matchLabels: { app: server } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: friend } } }]
`;

const allow = (name: string, peer: string) => `${FRIEND_ONLY}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ${name}, namespace: shop }
spec:
  podSelector: { matchLabels: { app: server } }
  ingress:
    - from: [${peer}]
`;

const CLIENT_TOO = allow('client', '{ podSelector: { matchLabels: { app: client } } }');
const TRUSTED_TOO = allow('trusted', '{ namespaceSelector: { matchLabels: { team: trusted } } }');

const clientPorts = (ports: string) => `${FRIEND_ONLY}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: client, namespace: shop }
spec:
  podSelector: { matchLabels: { app: server } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: client } } }]
      ports: ${ports}
`;

/** The client is isolated for egress, and may only send to its friend. */
const CLIENT_MAY_NOT_SEND = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: client-egress, namespace: shop }
spec:
  podSelector: { matchLabels: { app: client } }
  policyTypes: [Egress]
  egress:
    - to: [{ podSelector: { matchLabels: { app: friend } } }]
`;

/** The client may ask the server, and no pod may connect to it. */
const CLIENT_ASKS_SERVER = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: client-asks, namespace: shop }
spec:
  podSelector: { matchLabels: { app: client } }
  policyTypes: [Ingress, Egress]
  egress:
    - to: [{ podSelector: { matchLabels: { app: server } } }]
      ports: [{ port: 7007, protocol: UDP }]
`;

describeAsRoot('Changes while traffic flows', () => {
  describe.each([
    { name: 'with offload', offload: true },
    { name: 'with --no-offload', offload: false },
  ])('$name', ({ offload }) => {
    let world: World;
    beforeAll(async () => {
      world = await World.start(OBJECTS, { agents: { offload } });
    });
    afterAll(async () => {
      await world[Symbol.asyncDispose]();
    });

    test('a removed policy cuts what it allowed, in both directions, until it is back', async () => {
      await world.change(OBJECTS, CLIENT_TOO);
      using concerned = new Connections(world.lab, 'shop/client', 'shop/server', 7001);
      using unconcerned = new Connections(world.lab, 'shop/friend', 'shop/server', 7003);
      await concerned.flow();
      await unconcerned.flow();

      await world.policies(FRIEND_ONLY);
      await expectCut(concerned);
      await unconcerned.flow();

      await world.policies(CLIENT_TOO);
      await concerned.flow();
      await unconcerned.expectNothingLost();
    });

    test('an added policy cuts connections that were never judged before, and those it allows lose nothing', async () => {
      await world.change(OBJECTS, '');
      using concerned = new Connections(world.lab, 'shop/client', 'shop/server', 7001);
      using allowed = new Connections(world.lab, 'shop/friend', 'shop/server', 7003);
      using unconcerned = new Connections(world.lab, 'shop/friend', 'visitors/visitor', 7005);
      await concerned.flow();
      await allowed.flow();
      await unconcerned.flow();

      await world.policies(FRIEND_ONLY);
      await expectCut(concerned);
      await allowed.flow();
      await allowed.expectNothingLost();
      await unconcerned.expectNothingLost();
    });

    test('an added policy that isolates the sender cuts its connections at once', async () => {
      await world.change(OBJECTS, '');
      using concerned = new Connections(world.lab, 'shop/client', 'shop/server', 7001);
      using allowed = new Connections(world.lab, 'shop/client', 'shop/friend', 7003);
      await concerned.flow();
      await allowed.flow();

      await world.policies(CLIENT_MAY_NOT_SEND);
      await expectCut(concerned);
      await allowed.expectNothingLost();
    });

    test('an isolated sender goes on answering the connections that others opened to it', async () => {
      await world.change(OBJECTS, '');
      using answered = new Connections(world.lab, 'shop/server', 'shop/client', 7001);
      await answered.flow();

      await world.policies(CLIENT_MAY_NOT_SEND);
      await answered.flow();
      await answered.expectNothingLost();
    });

    test('answers that are on their way while their pod becomes isolated, for both directions, arrive', async () => {
      await world.change(OBJECTS, '');
      const [client, server] = [world.lab.pod('shop/client'), world.lab.pod('shop/server')];
      using queries = new SlowAnswers(client, server, 7007);
      for (let round = 0; round < 5; round++) {
        await world.policies(CLIENT_ASKS_SERVER);
        await world.policies('');
      }
      expect(await queries.unanswered(), `of ${queries.asked} questions`).toBe(0);
      expect(queries.answered).toBeGreaterThan(0);
    });

    test('an edited policy cuts the connections on the ports that it no longer names', async () => {
      await world.change(
        OBJECTS,
        clientPorts('[{ port: 7001 }, { port: 7002, protocol: UDP }, { port: 7003 }, { port: 7004, protocol: UDP }]'),
      );
      using concerned = new Connections(world.lab, 'shop/client', 'shop/server', 7001);
      using unconcerned = new Connections(world.lab, 'shop/client', 'shop/server', 7003);
      await concerned.flow();
      await unconcerned.flow();

      await world.policies(clientPorts('[{ port: 7003 }, { port: 7004, protocol: UDP }]'));
      await expectCut(concerned);
      await unconcerned.expectNothingLost();

      await world.policies(
        clientPorts('[{ port: 7001, endPort: 7004 }, { port: 7001, endPort: 7004, protocol: UDP }]'),
      );
      await concerned.flow();
      await unconcerned.expectNothingLost();
    });

    test('a pod that loses the label by which it was allowed is cut off', async () => {
      await world.change(OBJECTS, CLIENT_TOO);
      using concerned = new Connections(world.lab, 'shop/client', 'shop/server', 7001);
      using unconcerned = new Connections(world.lab, 'shop/friend', 'shop/server', 7003);
      await concerned.flow();
      await unconcerned.flow();

      const relabelled = pod('shop/client', { app: 'retired' }, ['80'], { addresses: ['10.244.7.1'] });
      await world.change([SHOP, VISITORS, SERVER, relabelled, FRIEND, VISITOR], CLIENT_TOO);
      await expectCut(concerned);

      await world.change(OBJECTS, CLIENT_TOO);
      await concerned.flow();
      await unconcerned.expectNothingLost();
    });

    test('a pod that gets the label of isolated pods is isolated, and so are its open connections', async () => {
      await world.change(OBJECTS, FRIEND_ONLY);
      using concerned = new Connections(world.lab, 'shop/client', 'visitors/visitor', 7001);
      using fromVisitor = new Connections(world.lab, 'visitors/visitor', 'shop/client', 7003);
      await concerned.flow();
      await fromVisitor.flow();

      const relabelled = pod('shop/client', { app: 'server' }, ['80'], { addresses: ['10.244.7.1'] });
      await world.change([SHOP, VISITORS, SERVER, relabelled, FRIEND, VISITOR], FRIEND_ONLY);
      await expectCut(fromVisitor);
      await concerned.expectNothingLost();
    });

    test('a namespace that loses the label by which its pods were allowed is cut off', async () => {
      await world.change(OBJECTS, TRUSTED_TOO);
      using concerned = new Connections(world.lab, 'visitors/visitor', 'shop/server', 7001);
      using unconcerned = new Connections(world.lab, 'shop/friend', 'shop/server', 7003);
      await concerned.flow();
      await unconcerned.flow();

      await world.change([SHOP, namespace('visitors'), SERVER, CLIENT, FRIEND, VISITOR], TRUSTED_TOO);
      await expectCut(concerned);

      await world.change(OBJECTS, TRUSTED_TOO);
      await concerned.flow();
      await unconcerned.expectNothingLost();
    });

    test('another pod with the address of a deleted one does not inherit its connections', async () => {
      await world.change(OBJECTS, CLIENT_TOO);
      let ports: SourcePorts;
      {
        using before = new Connections(world.lab, 'shop/client', 'shop/server', 7001);
        await before.flow();
        ports = before.sourcePorts;
      }
      const impostor = pod('shop/impostor', { app: 'impostor' }, ['80'], { addresses: ['10.244.7.1'] });
      await world.change([SHOP, VISITORS, SERVER, impostor, FRIEND, VISITOR], CLIENT_TOO);
      using inherited = new Connections(world.lab, 'shop/impostor', 'shop/server', 7001, { sourcePorts: ports });
      await expectCut(inherited);

      const successor = pod('shop/successor', { app: 'client' }, ['80'], { addresses: ['10.244.7.1'] });
      await world.change([SHOP, VISITORS, SERVER, successor, FRIEND, VISITOR], CLIENT_TOO);
      using again = new Connections(world.lab, 'shop/successor', 'shop/server', 7005);
      await again.flow();
    });
  });
});

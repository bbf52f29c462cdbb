/**
 * Every kind of live change, on new and on open connections; connections that a change does not
 * affect go on.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster } from './cluster.ts';
import { install } from './installation.ts';
import { Machine, onMachine } from './machine.ts';
import { Namespace, type Stream } from './pods.ts';

const cluster = new Cluster();
const machine = Machine.of(cluster);
const SERVER = { podSelector: { matchLabels: { app: 'server' } } };
const fromPods = (labels: object) => ({ ...SERVER, ingress: [{ from: [{ podSelector: { matchLabels: labels } }] }] });

let own: Namespace;
let other: Namespace;
/** A stream between pods that no policy of this file selects. */
let bystander: Stream;
/** A node other than the server's. */
let second = '';
let tcp: string;
let udp: string;

beforeAll(async () => {
  await install(cluster);
  const [first, ...others] = await cluster.nodes();
  if (first === undefined) throw new Error('no node takes pods');
  second = others[0] ?? first;
  own = await Namespace.create(cluster, 'changes', { team: 'blue' });
  other = await Namespace.create(cluster, 'changes-other', { team: 'red' });
  await Promise.all([
    own.pods({
      server: { labels: { app: 'server' }, node: first },
      near: { labels: { app: 'client' }, node: first },
      far: { labels: { app: 'client' }, node: second },
      stranger: { labels: { app: 'stranger' }, node: second },
      aside: { labels: { app: 'aside' }, node: second },
    }),
    other.pods({ visitor: { labels: { app: 'visitor' }, node: second } }),
  ]);
  const address = await own.addressOf('server');
  tcp = `tcp:${address}:8080`;
  udp = `udp:${address}:8080`;
  bystander = own.stream('near', await own.addressOf('aside'), 8080);
  await bystander.goesOn();
});

afterAll(async () => {
  await bystander?.[Symbol.asyncDispose]();
  await Promise.all([own?.delete(), other?.delete()]);
});

const open = { TCP: 'server', UDP: 'server' };
const closed = { TCP: 'silent', UDP: 'silent' };
const reaches = (from: string, { TCP, UDP } = open, namespace = own) =>
  namespace.asks(from, { [tcp]: TCP, [udp]: UDP });
const address = () => tcp.split(':')[1] ?? '';

describe('a policy', () => {
  test('that is created closes new and open connections, on one node and between nodes', async () => {
    await Promise.all([reaches('near'), reaches('far')]);
    await using near = own.stream('near', address(), 8080);
    await using far = own.stream('far', address(), 8080);
    await Promise.all([near.goesOn(), far.goesOn()]);
    await own.policy('server', { ...SERVER, policyTypes: ['Ingress'] });
    await Promise.all([near.fallsSilent(), far.fallsSilent()]);
    await Promise.all([reaches('near', closed), reaches('far', closed)]);
    await bystander.goesOn();

    // The same connections go on, not new ones.
    await own.policy('server', fromPods({ app: 'client' }));
    await Promise.all([near.goesOn(), far.goesOn()]);
    expect([near.ended, far.ended]).toEqual([undefined, undefined]);
  });

  test('that is edited opens to the pods that it names, and to no others', async () => {
    await own.policy('server', fromPods({ app: 'client' }));
    await Promise.all([reaches('near'), reaches('far'), reaches('stranger', closed)]);
    await own.policy('server', fromPods({ app: 'stranger' }));
    await Promise.all([reaches('near', closed), reaches('far', closed), reaches('stranger')]);
  });

  test('for one port leaves the other protocol closed', async () => {
    await own.policy('server', { ...SERVER, ingress: [{ ports: [{ protocol: 'UDP', port: 8080 }] }] });
    await reaches('far', { TCP: 'silent', UDP: 'server' });
  });

  test('on egress closes what its pods open, and their answers still leave', async () => {
    await own.kubectl('delete', 'networkpolicy', '--all');
    await own.policy('egress', { podSelector: { matchLabels: { app: 'client' } }, policyTypes: ['Egress'] });
    await reaches('far', closed);
    await other.asks('visitor', { [`tcp:${await own.addressOf('far')}:8080`]: 'far' });
    // A pod that this policy selects opened the bystander's stream.
    await bystander.fallsSilent();
    await own.kubectl('delete', 'networkpolicy', 'egress');
    await bystander.goesOn();
  });

  test('that is deleted opens again', async () => {
    await own.policy('server', { ...SERVER, policyTypes: ['Ingress'] });
    await reaches('stranger', closed);
    await own.kubectl('delete', 'networkpolicy', '--all');
    await reaches('stranger');
  });
});

describe('labels', () => {
  test('of a pod open and close', async () => {
    await own.policy('server', fromPods({ app: 'client' }));
    await reaches('stranger', closed);
    await own.kubectl('label', 'pod', 'stranger', 'app=client', '--overwrite');
    await reaches('stranger');
    await using stream = own.stream('stranger', address(), 8080);
    await stream.goesOn();
    await own.kubectl('label', 'pod', 'stranger', 'app=stranger', '--overwrite');
    await stream.fallsSilent();
    await reaches('stranger', closed);
  });

  test('of the selected pod isolate it and release it', async () => {
    await own.kubectl('label', 'pod', 'server', 'app=something', '--overwrite');
    await reaches('stranger');
    await own.kubectl('label', 'pod', 'server', 'app=server', '--overwrite');
    await reaches('stranger', closed);
  });

  test('of a namespace open and close', async () => {
    await own.policy('server', {
      ...SERVER,
      ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'green' } } }] }],
    });
    await reaches('visitor', closed, other);
    await cluster.kubectl(['label', 'namespace', other.name, 'team=green', '--overwrite']);
    await reaches('visitor', open, other);
    await cluster.kubectl(['label', 'namespace', other.name, 'team=red', '--overwrite']);
    await reaches('visitor', closed, other);
  });
});

describe('an address', () => {
  test.skipIf(machine === undefined)(
    onMachine('of a deleted pod goes to another pod, without the policies of the first'),
    async () => {
      const onlyFrom = (app: string, peer: string) => {
        const ingress = [{ from: [{ podSelector: { matchLabels: { app: peer } } }] }];
        return own.policy(app, { podSelector: { matchLabels: { app } }, ingress });
      };
      await own.pods({ earlier: { labels: { app: 'earlier' }, node: second } });
      const address = await own.addressOf('earlier');
      const target = `tcp:${address}:8080`;
      await onlyFrom('earlier', 'client');
      await own.asks('near', { [target]: 'earlier' });
      await own.asks('stranger', { [target]: 'silent' });
      await own.kubectl('delete', 'pod', 'earlier');
      await machine?.giveAgain(second, address);
      await own.pods({ later: { labels: { app: 'later' }, node: second } });
      expect(await own.addressOf('later')).toBe(address);
      await own.asks('stranger', { [target]: 'later' });
      await onlyFrom('later', 'stranger');
      await own.asks('near', { [target]: 'silent' });
      await own.asks('stranger', { [target]: 'later' });
    },
  );
});

test('what no policy of this file selects has gone on all the time, on one connection', async () => {
  await bystander.goesOn();
  expect(bystander.ended).toBeUndefined();
});

/**
 * What the real agent answers at /explain and to `podfence explain`, compared to what happens to
 * real packets.
 */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Answer } from '../../src/explain/explanation.ts';
import { ended } from '../commands/podfence.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld, NODE } from './agent-world.ts';
import { getIn } from './http-in-netns.ts';
import { app, CLIENT_ALLOWED, FRIEND_ALLOWED, serverHears } from './policies.ts';
import { CLI, type RunningAgent } from './running-agent.ts';

const QUERIES = { address: '127.0.0.1', port: 9465 };

describeAsRoot('Explanations of a running agent', () => {
  let world: AgentWorld;
  let agent: RunningAgent;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED, CLIENT_ALLOWED]);
    agent = await world.startAgent();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  async function explain(from: string, to: string, port: string): Promise<Answer> {
    const { status, body } = await getIn(world.node, QUERIES, `/explain?${new URLSearchParams({ from, to, port })}`);
    expect({ status, body }).toMatchObject({ status: 200 });
    return JSON.parse(body);
  }

  test('agree with what happens to packets, before and after a change', async () => {
    using client = new Connections(world.lab, 'shop/client', 'shop/server', 7001);
    await client.flow();
    const allowed = await explain('10.244.1.2', 'shop/server', 'web');
    expect(allowed).toMatchObject({ from: 'shop/client', verdict: 'allow' });
    expect(allowed.ways[0]?.sides.ingress.allowedBy.map(({ policy }) => policy)).toEqual(['shop/client']);
    await world.change(agent, [FRIEND_ALLOWED]);
    await expectCut(client);
    const denied = await explain('shop/client', 'shop/server', '7001');
    expect(denied).toMatchObject({
      verdict: 'deny',
      ways: [{ reason: 'ingress-denied', notes: [], sides: { ingress: { node: NODE } } }],
    });
    expect(denied.ways[0]?.sides.ingress.nearMisses.map(({ sentence }) => sentence)).toEqual([
      'policy shop/friend rule 1 would allow port 7001 from pods with app=friend; client has app=client',
    ]);
  });

  test('name the node by its addresses', async () => {
    const [address = ''] = world.node.addresses;
    expect(await explain(address, 'shop/server', '1')).toMatchObject({
      from: `node ${NODE}`,
      ways: [{ reason: 'local-node' }],
    });
  });

  test.each(['/explain?from=shop/client&to=shop/server&port=1', '/flows?follow=no'])(
    'are not for a page of a browser: %s',
    async (path) => {
      const rebound = await getIn(world.node, QUERIES, path, { host: 'evil.example', origin: 'http://evil.example' });
      expect(rebound).toMatchObject({ status: 403, body: expect.stringContaining('not as "evil.example"') });
      const foreign = await getIn(world.node, QUERIES, path, { origin: 'http://evil.example' });
      expect(foreign).toEqual({ status: 403, body: 'pages from elsewhere get no answer\n' });
      expect((await getIn(world.node, QUERIES, path, { host: 'localhost:9465' })).status).toBe(200);
    },
  );

  test('of senseless questions are 400, and say what was probably meant', async () => {
    const ask = (query: string) => getIn(world.node, QUERIES, `/explain?${query}`);
    expect(await ask('from=shop/client&to=shop/sever&port=1')).toEqual({
      status: 400,
      body: 'there is no pod or Service "shop/sever". Did you mean shop/server? (the agent knows no Services: name a pod, or give its address, or explain with --kubeconfig)\n',
    });
    expect(await ask('from=shop/client')).toEqual({ status: 400, body: 'give from, to and port\n' });
  });

  async function command(from: string, to: string, port: string, ...flags: readonly string[]): Promise<string> {
    const args = [
      '--from',
      from,
      '--to',
      to,
      '--port',
      port,
      '--agent',
      `${QUERIES.address}:${QUERIES.port}`,
      ...flags,
    ];
    const child = world.node.netns.run(() =>
      spawn(process.execPath, [CLI, 'explain', ...args], { stdio: ['ignore', 'pipe', 'pipe'] }),
    );
    const { code, stdout, stderr } = await ended(child);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return stdout;
  }

  test('of the address of a Service are those of its backends, if a kubeconfig gives access to Services', async () => {
    await world.set({
      ...{ kind: 'Service', apiVersion: 'v1', metadata: { name: 'server', namespace: 'shop' } },
      spec: { clusterIP: '10.96.0.10', selector: { app: 'server' }, ports: [{ port: 80, targetPort: 7001 }] },
    });
    const known = await command('shop/stranger', '10.96.0.10', '80', '--kubeconfig', world.kubeConfig);
    expect(known).toContain('DENIED  shop/stranger -> service/shop/server, port 80\n');
    expect(known).toContain(`ingress  denied on ${NODE}: shop/server is isolated`);
    expect(await command('shop/stranger', '10.96.0.10', '80')).toContain(
      "If it is a Service's, its translation is not",
    );
  });

  test('are laid out by podfence explain', async () => {
    await world.change(agent, [FRIEND_ALLOWED, serverHears('client', app('client'), [{ port: 7001 }])]);
    const stdout = await command('shop/client', 'shop/server', '7002');
    expect(stdout).toContain('DENIED  shop/client -> shop/server, port 7002\n');
    expect(stdout).toContain(`ingress  denied on ${NODE}: shop/server is isolated, and none of the policies allows it`);
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(
      'nearest policy shop/client rule 1 would allow port 7001 from client; this is port 7002',
    );
  });

  test('beyond the loopback address cause a warning', async () => {
    const warnings = ({ log }: RunningAgent) => log.filter(({ msg }) => msg.startsWith('whoever reaches this address'));
    expect(warnings(agent)).toEqual([]);
    await world.killAgents();
    const open = await world.startAgent('--query-address', ':9475');
    expect(warnings(open)).toMatchObject([{ level: 'warn', address: ':9475' }]);
  });
});

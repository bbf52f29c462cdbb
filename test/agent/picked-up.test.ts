/**
 * Connections that are older than the kernel's connection tracking, and on which the server speaks
 * first: the kernel takes the server for the opener, and no policy allows the server to open one.
 * In truth the client opened them, and the policies allow the client.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../src/lab/lab.ts';
import { close, recv, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, send } from '../../src/sys/libc.ts';
import { accept, connect, listen, resetOnClose, socketAddress } from '../../src/sys/sockets.ts';
import type { ApiObject } from '../kube/object-history.ts';
import { namespace, policy } from '../kube/objects.ts';
import { describeAsRoot } from '../root.ts';
import { bindTo, buffer, open } from '../scenarios/stream-sockets.ts';
import { AgentWorld } from './agent-world.ts';
import { CLIENT_ALLOWED } from './policies.ts';
import { CLI } from './running-agent.ts';

const SERVER_IS_SILENT = policy('shop', 'silent', {
  podSelector: { matchLabels: { app: 'server' } },
  policyTypes: ['Egress'],
});
const SHOP = namespace('shop', { team: 'shop' });
const AUDITED: ApiObject = {
  ...SHOP,
  metadata: { ...SHOP.metadata, annotations: { 'podfence.io/mode': 'audit' } },
};

/** A connection that is silent unless a test makes it speak. */
class QuietConnection implements Disposable {
  readonly #listener: number;
  readonly #client: number;
  #server = -1;

  constructor(lab: Lab, port: number) {
    const server = lab.pod('shop/server');
    const [address = ''] = server.addresses;
    this.#listener = open(server, address, SOCK_STREAM);
    bindTo(this.#listener, address, port);
    listen(this.#listener, 1);
    this.#client = open(lab.pod('shop/client'), address, SOCK_STREAM);
    connect(this.#client, socketAddress(address, port));
  }

  async opened(): Promise<void> {
    await expect.poll(() => this.#accept()).toBeGreaterThanOrEqual(0);
  }

  /**
   * The server sends something, then the client; resolves when each has received the other's
   * message.
   */
  async exchange(): Promise<void> {
    await passes(this.#server, this.#client);
    await passes(this.#client, this.#server);
  }

  #accept(): number {
    this.#server = accept(this.#listener, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return this.#server;
  }

  [Symbol.dispose](): void {
    for (const fd of [this.#client, this.#server]) {
      if (fd < 0) continue;
      resetOnClose(fd);
      close(fd);
    }
    close(this.#listener);
  }
}

async function passes(from: number, to: number): Promise<void> {
  expect(send(from, Uint8Array.of(1), 1, 0)).toBe(1);
  await expect.poll(() => recv(to, buffer, 1, 0)).toBe(1);
}

describeAsRoot('An allowed connection that is older than connection tracking, and whose server speaks first,', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await world.killAgents();
    await world.onNode(process.execPath, CLI, 'cleanup');
  });

  const POLICIES = [CLIENT_ALLOWED, SERVER_IS_SILENT];

  test.each([
    ['the ports show who opened it', 7301],
    ['either port may be a client’s', 47301],
  ])('goes on when its policies are no longer audited, if %s', async (_, port) => {
    await world.become(POLICIES, { others: [AUDITED] });
    using connection = new QuietConnection(world.lab, port);
    await connection.opened();
    const agent = await world.startAgent();
    await connection.exchange();
    await world.change(agent, POLICIES);
    await connection.exchange();
    expect((await agent.metrics()).sum('podfence_flows_revoked_total')).toBe(0);
  });

  test.each([['yes'], ['no']])('goes on when enforcement follows audit mode with --offload %s', async (offload) => {
    await world.become(POLICIES);
    using connection = new QuietConnection(world.lab, offload === 'yes' ? 7303 : 7305);
    await connection.opened();
    const first = await world.startAgent('--mode', 'audit', '--offload', offload);
    await connection.exchange();
    expect(await first.terminate()).toBe(0);
    await world.startAgent();
    await connection.exchange();
  });
});

/**
 * Two pods with servers that run all the time: how V8 optimises a server in its first second should
 * not depend on the variant.
 */
import type { Host } from '../../src/lab/topology.ts';
import { type Server, startServer } from '../traffic/servers.ts';
import type { TwoPods } from '../traffic/two-pods.ts';

export const ECHO_PORT = 7000;
export const HTTP_PORT = 8000;

/** Carries packets from one pod to another. */
export interface Carrier extends TwoPods, AsyncDisposable {
  readonly node?: Host;
  /** The process that answers the kernel's queues on the node, if any does. */
  readonly answerer?: number | undefined;
}

export interface MeasuredPair extends Carrier {
  readonly echo: Server;
  readonly http: Server;
}

/** Starts the servers. Takes ownership of the carrier, which ends with the pair. */
export async function withServers(carrier: Carrier, signal: AbortSignal): Promise<MeasuredPair> {
  await using stack = new AsyncDisposableStack();
  stack.use(carrier);
  const { server } = carrier;
  const echo = stack.use(await startServer(server.netns, 'echo', { port: ECHO_PORT }, signal));
  const http = stack.use(await startServer(server.netns, 'http', { port: HTTP_PORT }, signal));
  const all = stack.move();
  const { client, node, answerer } = carrier;
  return {
    client,
    server,
    ...(node && { node }),
    answerer,
    echo,
    http,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

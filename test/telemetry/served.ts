/** Servers and raw clients of one test, which end with it. */
import pino from 'pino';
import { afterEach } from 'vitest';
import { HttpServer, type Limits } from '../../src/telemetry/http-server.ts';
import { type Route, text } from '../../src/telemetry/route.ts';
import { RawClient } from './http-client.ts';

const servers: HttpServer[] = [];
const clients: RawClient[] = [];
/** Lines of the servers' log. */
export const logged: Record<string, unknown>[] = [];
export const log = pino({ level: 'trace' }, { write: (line: string) => logged.push(JSON.parse(line)) });

afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await server.stop();
  logged.length = 0;
});

export const OK: Route = { path: '/ok', summary: 'always well', handle: () => text(200, 'ok') };

export function route(path: string, handle: Route['handle']): Route {
  return { path, summary: `is ${path}`, handle };
}

export async function serve(routes: readonly Route[] = [OK], limits: Partial<Limits> = {}, address = '127.0.0.1:0') {
  const server = new HttpServer({ address, routes, log, limits });
  servers.push(server);
  const { port } = await server.start();
  return { server, port };
}

/** @param from the source address */
export function client(port: number, from?: string): RawClient {
  const made = new RawClient(port, from);
  clients.push(made);
  return made;
}

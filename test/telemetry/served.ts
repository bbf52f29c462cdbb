/** Servers and raw clients of one test, which end with it. */
import pino from 'pino';
import { HttpServer, type Limits } from '../../src/telemetry/http-server.ts';
import { type Route, text } from '../../src/telemetry/route.ts';
import { endWithTest } from '../own.ts';
import { RawClient } from './http-client.ts';

/** Lines of the servers' log. */
export const logged: Record<string, unknown>[] = [];
export const log = pino({ level: 'trace' }, { write: (line: string) => logged.push(JSON.parse(line)) });

export const OK: Route = { path: '/ok', summary: 'always well', handle: () => text(200, 'ok') };

export function route(path: string, handle: Route['handle']): Route {
  return { path, summary: `is ${path}`, handle };
}

export async function serve(routes: readonly Route[] = [OK], limits: Partial<Limits> = {}, address = '127.0.0.1:0') {
  const server = new HttpServer({ address, routes, log, limits });
  endWithTest(async () => {
    await server.stop();
    logged.length = 0;
  });
  const { port } = await server.start();
  return { server, port };
}

/** @param from the source address */
export function client(port: number, from?: string): RawClient {
  const made = new RawClient(port, from);
  endWithTest(() => made.socket.destroy());
  return made;
}

/** Servers in pods: child processes in the pod's network namespace. */
import type { Netns } from '../../src/sys/netns.ts';
import { inChild } from '../harness/child.ts';

const PROGRAMS = {
  /** Sends datagrams back. */
  echo: new URL('./echo-process.ts', import.meta.url),
  http: new URL('./http-process.ts', import.meta.url),
};

export interface ServerInput {
  readonly port: number;
}

export interface Server extends Disposable {
  readonly pid: number;
}

/**
 * Resolves when the server listens. The server ends when it is disposed of, or by the signal.
 * Rejects if it cannot listen.
 */
export async function startServer(
  netns: Netns,
  what: keyof typeof PROGRAMS,
  input: ServerInput,
  signal: AbortSignal,
): Promise<Server> {
  const end = new AbortController();
  const listening = Promise.withResolvers<number>();
  const ended = netns.run(() =>
    inChild<never>(PROGRAMS[what], input, {
      signal: AbortSignal.any([signal, end.signal]),
      onReport: (pid) => listening.resolve(pid as number),
    }),
  );
  const pid = await Promise.race([listening.promise, ended]);
  ended.catch(() => undefined);
  return { pid, [Symbol.dispose]: () => end.abort() };
}

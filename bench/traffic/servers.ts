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
  /** Where it runs. @default wherever the kernel puts it */
  readonly core?: number;
}

/** Resolves when it listens; it ends when it is disposed of, or by the signal. Rejects where it cannot listen. */
export async function startServer(
  netns: Netns,
  what: keyof typeof PROGRAMS,
  input: ServerInput,
  signal: AbortSignal,
): Promise<Disposable> {
  const end = new AbortController();
  const listening = Promise.withResolvers<void>();
  const ended = netns.run(() =>
    inChild<never>(PROGRAMS[what], input, {
      signal: AbortSignal.any([signal, end.signal]),
      onReport: () => listening.resolve(),
    }),
  );
  await Promise.race([listening.promise, ended]);
  ended.catch(() => undefined);
  return { [Symbol.dispose]: () => end.abort() };
}

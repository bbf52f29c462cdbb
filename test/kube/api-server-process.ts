/**
 * The test API server in a process of its own, for benches and network namespaces: it listens in
 * the namespace of the process that starts it. Messages control it.
 *
 *     const server = await startApiServerProcess({ host: '0.0.0.0', bookmarkInterval: 5000 });
 *     await server.call('populate', { pods: 100_000 });
 *     writeFileSync(path, await server.call('kubeConfig', undefined, '192.0.2.1'));
 *     await server.stop();
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type ApiServerOptions, TestApiServer } from './api-server.ts';
import { type PopulationShape, population } from './population.ts';

/** The calls that it answers; see TestApiServer. */
function methodsOf(server: TestApiServer) {
  return {
    url: (host?: string) => server.url(host),
    kubeConfig: (...args: Parameters<TestApiServer['kubeConfig']>) => server.kubeConfig(...args),
    set: (...args: Parameters<TestApiServer['set']>) => server.set(...args),
    delete: (...args: Parameters<TestApiServer['delete']>) => server.delete(...args),
    populate: (shape: PopulationShape) => {
      for (const object of population(shape)) server.set(object);
    },
    depopulate: (shape: PopulationShape) => {
      for (const { kind, metadata } of population(shape)) server.delete(kind, metadata.namespace, metadata.name);
    },
    compact: () => server.compact(),
    bookmark: (...args: Parameters<TestApiServer['bookmark']>) => server.bookmark(...args),
    requests: (...args: Parameters<TestApiServer['requests']>) => server.requests(...args),
    openWatches: (...args: Parameters<TestApiServer['watches']>) => server.watches(...args).length,
    cutWatches: (...args: Parameters<TestApiServer['watches']>) => {
      for (const watch of server.watches(...args)) watch.cut();
    },
    endWatches: (...args: Parameters<TestApiServer['watches']>) => {
      for (const watch of server.watches(...args)) watch.end();
    },
    freezeWatches: (...args: Parameters<TestApiServer['watches']>) => {
      for (const watch of server.watches(...args)) watch.freeze();
    },
    trickleWatches: (pieceSize: number) => {
      for (const watch of server.watches()) watch.trickle(pieceSize);
    },
    sendToWatches: (bytes: string, ...args: Parameters<TestApiServer['watches']>) => {
      for (const watch of server.watches(...args)) watch.raw(bytes);
    },
    fail: (...args: Parameters<TestApiServer['fail']>) => server.fail(...args),
    faultsLeft: () => server.faultsLeft(),
    heal: () => server.heal(),
    acceptTokens: (...args: Parameters<TestApiServer['acceptTokens']>) => server.acceptTokens(...args),
    setNode: (...args: Parameters<TestApiServer['nodes']['set']>) => server.nodes.set(...args),
    taintsOf: (name: string) => server.nodes.taints(name),
    allowNodes: (isAllowed: boolean) => server.nodes.allow(isAllowed),
    listen: (...args: Parameters<TestApiServer['listen']>) => server.listen(...args),
    goAway: () => server.stop(),
  };
}

type Methods = ReturnType<typeof methodsOf>;

interface Call {
  readonly id: number;
  readonly method: keyof Methods;
  readonly args: readonly unknown[];
}

type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

export class ApiServerProcess {
  readonly #child: ChildProcess;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (answer: Answer) => {
      const call = this.#calls.get(answer.id);
      this.#calls.delete(answer.id);
      if ('error' in answer) call?.reject(new Error(answer.error));
      else call?.resolve(answer.value);
    });
    child.once('exit', (code, signal) => {
      const error = new Error(`The API server's process ended (${signal ?? code}).`);
      for (const call of this.#calls.values()) call.reject(error);
      this.#calls.clear();
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  call<M extends keyof Methods>(method: M, ...args: Parameters<Methods[M]>): Promise<Awaited<ReturnType<Methods[M]>>> {
    const call = Promise.withResolvers<unknown>();
    const id = ++this.#lastId;
    this.#calls.set(id, call);
    this.#child.send({ id, method, args } satisfies Call, (error) => {
      if (error !== null) call.reject(error);
    });
    return call.promise as Promise<Awaited<ReturnType<Methods[M]>>>;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill();
    await exited;
  }
}

/** Resolves when it listens. */
export async function startApiServerProcess(options: ApiServerOptions = {}): Promise<ApiServerProcess> {
  const child = fork(import.meta.filename, [JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const server = new ApiServerProcess(child);
  await server.call('url');
  return server;
}

if (process.argv[1] === import.meta.filename && process.send !== undefined) {
  // Messages wait in the channel until it has a listener.
  const methods = methodsOf(await TestApiServer.start(JSON.parse(process.argv[2] ?? '{}')));
  process.on('message', async ({ id, method, args }: Call) => {
    try {
      const value = await (methods[method] as (...args: readonly unknown[]) => unknown)(...args);
      process.send?.({ id, value } satisfies Answer);
    } catch (error) {
      process.send?.({ id, error: String(error) } satisfies Answer);
    }
  });
  // The parent process is gone.
  process.once('disconnect', () => process.exit());
}

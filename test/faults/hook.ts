/**
 * Loaded into an agent by `--import`: on SIGUSR2 its main thread does what the file named in FAULT_FILE says, and notes in FAULT_FILE.taken which it was. What comes from outside (signals, tools, the API
 * server, packets) needs no such help.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

export type InnerFault =
  /** Threads that judge end, wherever they are, and run no code of their own any more. */
  | { readonly what: 'end-threads' }
  /** The main thread does nothing else. */
  | { readonly what: 'block'; readonly milliseconds: number }
  /** What `Date` says jumps. Threads that judge do not ask it. */
  | { readonly what: 'jump'; readonly milliseconds: number };

if (isMainThread) {
  const { endWorkers } = await import('../agent/running-workers.ts');

  const Clock = Date;
  let offset = 0;
  const now = (): number => Clock.now() + offset;
  globalThis.Date = new Proxy(Clock, {
    construct: (target, parameters, made) =>
      Reflect.construct(target, parameters.length === 0 ? [now()] : parameters, made),
    apply: () => new Clock(now()).toString(),
    get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
  });

  process.on('SIGUSR2', () => {
    const file = process.env.FAULT_FILE as string;
    const { id, fault } = JSON.parse(readFileSync(file, 'utf8')) as { id: string; fault: InnerFault };
    writeFileSync(`${file}.taken`, id);
    if (fault.what === 'end-threads') endWorkers();
    else if (fault.what === 'jump') offset += fault.milliseconds;
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, fault.milliseconds);
  });
}

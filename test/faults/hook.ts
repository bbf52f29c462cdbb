/**
 * Loaded into an agent by `--import`. On SIGUSR2 its main thread causes the fault in the file that
 * FAULT_FILE names, and writes its id to FAULT_FILE.taken. Faults from outside (signals, tools, the
 * API server, packets) do not need it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

export type InnerFault =
  /** Judging threads end, wherever they are, without running any more of their code. */
  | { readonly what: 'end-threads' }
  /** The main thread is blocked. */
  | { readonly what: 'block'; readonly milliseconds: number }
  /** `Date` jumps. Judging threads do not use it. */
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

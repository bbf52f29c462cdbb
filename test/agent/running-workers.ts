/** Tracks the worker threads of the process that loads this, from then on. */
import { syncBuiltinESMExports } from 'node:module';
import threads from 'node:worker_threads';

const running = new Set<threads.Worker>();
threads.Worker = class extends threads.Worker {
  constructor(...parameters: ConstructorParameters<typeof threads.Worker>) {
    super(...parameters);
    running.add(this);
    this.once('exit', () => running.delete(this));
  }
};
syncBuiltinESMExports();

/** Ends the workers, wherever they are, without running any more of their code. */
export function endWorkers(): void {
  for (const worker of running) void worker.terminate();
}

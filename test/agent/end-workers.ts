/** Loaded into an agent by `--import`: on SIGUSR2 its worker threads end, wherever they are, and run no code of their own any more. */
import { syncBuiltinESMExports } from 'node:module';
import threads from 'node:worker_threads';

if (threads.isMainThread) {
  const running = new Set<threads.Worker>();
  threads.Worker = class extends threads.Worker {
    constructor(...parameters: ConstructorParameters<typeof threads.Worker>) {
      super(...parameters);
      running.add(this);
      this.once('exit', () => running.delete(this));
    }
  };
  syncBuiltinESMExports();
  process.on('SIGUSR2', () => {
    for (const worker of running) void worker.terminate();
  });
}

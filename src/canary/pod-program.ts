/**
 * The program in a canary's pods: echoes on its port, probes its targets on their schedules, and
 * reports the results.
 */
import { networkInterfaces } from 'node:os';
import { attempt } from './attempts.ts';
import { type EchoServer, serveEcho } from './echo-server.ts';
import { type HeldConnection, holdConnection } from './held-connection.ts';
import type { Family } from './plan.ts';
import { LINE_INTERVAL, type PodLine, type PodTask, RESULTS, type Result, type Target } from './report-line.ts';

export class PodProgram {
  readonly #task: PodTask;
  readonly #write: (line: PodLine) => void;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #held: HeldConnection[] = [];
  #server: EchoServer | undefined;
  #ended: [target: number, start: number, took: number, result: number][] = [];
  #lines = 0;

  /** @param write receives a line every 200 ms */
  constructor(task: PodTask, write: (line: PodLine) => void) {
    this.#task = task;
    this.#write = write;
  }

  /** Starts the server, if the task has one, and the probes. */
  async start(): Promise<void> {
    const { listen, targets } = this.#task;
    if (listen !== undefined) this.#server = await serveEcho(listen);
    for (const [index, target] of targets.entries()) this.#probe(index, target);
    this.#timers.push(setInterval(() => this.#report(), LINE_INTERVAL));
    this.#report();
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const connection of this.#held) connection.close();
    this.#server?.close();
  }

  #probe(index: number, target: Target): void {
    const ask = this.#asker(target);
    const again = async () => {
      const start = performance.now();
      const result = await ask();
      this.#ended.push([index, tenth(start), tenth(performance.now() - start), RESULTS.indexOf(result)]);
      if (result === 'closed') clearInterval(timer);
    };
    const timer = setInterval(again, target.interval);
    this.#timers.push(timer);
    void again();
  }

  #asker({ address, port, protocol, family, held }: Target): () => Promise<Result> {
    if (address === undefined) {
      return async () => {
        const own = ownAddress(family);
        return own === undefined ? 'failed' : await attempt(protocol, own, port);
      };
    }
    if (!held) return () => attempt(protocol, address, port);
    const connection = holdConnection(protocol, address, port);
    this.#held.push(connection);
    return () => connection.ask();
  }

  #report(): void {
    const attempts = this.#ended;
    this.#ended = [];
    const now = tenth(performance.now());
    this.#write({ line: this.#lines++, now, attempts });
  }
}

/** Returns the pod's address of a family, neither loopback nor link-local. */
function ownAddress(wanted: Family): string | undefined {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.find(
    ({ family, internal, address }) => family === wanted && !internal && !/^fe[89ab]/i.test(address),
  )?.address;
}

function tenth(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}

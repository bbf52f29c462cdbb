/** The lab thread's handle on the traffic thread. */
import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { eventfd, signalEventfd } from '../../sys/libc.ts';
import type {
  AttemptOutcome,
  AttemptSpec,
  ListenFailure,
  ListenSpec,
  Timing,
  TrafficReply,
  TrafficRequest,
} from './messages.ts';

/** Most attempts in parallel. */
const WAVE = 4000;
/** Descriptors reserved for everything but the attempts. */
const SPARE_DESCRIPTORS = 256;

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly progress: ((finished: number) => void) | undefined;
}

export class Traffic {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #wake = eventfd();
  readonly #pending = new Map<number, Pending>();
  readonly #ended: Promise<void>;
  #requests = 0;
  /**
   * Why no more requests are accepted; the thread has closed all its descriptors, the eventfd too.
   */
  #failure: Error | undefined;
  /** Waves run one after the other: two at once would disturb each other's timing. */
  #lastAttempt: Promise<unknown> = Promise.resolve();

  /** @param waveSize most attempts in parallel */
  constructor(waveSize = defaultWaveSize()) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#worker = new Worker(new URL(`./traffic-worker${extname(import.meta.filename)}`, import.meta.url), {
      workerData: { port: port2, wake: this.#wake, waveSize },
      transferList: [port2],
    });
    this.#port.on('message', (reply: TrafficReply) => this.#receive(reply));
    this.#port.unref();
    this.#ended = new Promise((resolve) => {
      this.#worker.on('error', (error) => this.#fail(error));
      this.#worker.on('exit', () => {
        this.#fail(new Error('the traffic thread has ended'));
        resolve();
      });
    });
    this.#worker.unref();
    process.once('exit', this.#stopAtExit);
  }

  /** `process.exit` waits for the thread, for ever if the thread sleeps in a system call. */
  readonly #stopAtExit = () => {
    this.#request({ type: 'stop' }).catch(() => undefined);
  };

  /** Opens listeners. Resolves with those that could not be opened. */
  async listen(specs: readonly ListenSpec[]): Promise<readonly ListenFailure[]> {
    return (await this.#request({ type: 'listen', specs })) as readonly ListenFailure[];
  }

  /** Closes everything in the given namespaces, and the listeners of the given speakers. */
  async forget(netns: readonly number[], speakers: readonly string[]): Promise<void> {
    await this.#request({ type: 'forget', netns, speakers });
  }

  /**
   * Makes all attempts in parallel, or in waves if there are too many. Resolves with their outcomes
   * in the same order.
   */
  async attempt(
    specs: readonly AttemptSpec[],
    timing: Timing,
    progress?: (finished: number) => void,
  ): Promise<readonly AttemptOutcome[]> {
    const outcomes = this.#lastAttempt.then(() => this.#request({ type: 'attempt', specs, timing }, progress));
    this.#lastAttempt = outcomes.catch(() => undefined);
    const byId = new Map(((await outcomes) as readonly AttemptOutcome[]).map((outcome) => [outcome.id, outcome]));
    return specs.map(({ id }) => byId.get(id) as AttemptOutcome);
  }

  async stop(): Promise<void> {
    this.#worker.ref();
    const stopping = this.#request({ type: 'stop' });
    this.#failure ??= new Error('the lab is stopped');
    await stopping.catch(() => undefined);
    await this.#ended;
    process.off('exit', this.#stopAtExit);
    this.#port.close();
  }

  #request(body: TrafficRequest, progress?: (finished: number) => void): Promise<unknown> {
    if (this.#failure) return Promise.reject(this.#failure);
    const request = ++this.#requests;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(request, { resolve, reject, progress });
    this.#port.ref();
    this.#port.postMessage({ request, body });
    signalEventfd(this.#wake);
    return promise;
  }

  #receive(reply: TrafficReply): void {
    const pending = this.#pending.get(reply.request);
    if (!pending) return;
    if (reply.type === 'progress') {
      pending.progress?.(reply.finished);
      return;
    }
    this.#pending.delete(reply.request);
    if (this.#pending.size === 0) this.#port.unref();
    if (reply.type === 'done') pending.resolve(reply.result);
    else pending.reject(new Error(reply.message));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#port.unref();
  }
}

/** Returns how many attempts this process has descriptors for, two each. */
function defaultWaveSize(): number {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  const free = Number(limit ?? 1024) - readdirSync('/proc/self/fd').length - SPARE_DESCRIPTORS;
  return Math.max(16, Math.min(WAVE, Math.floor(free / 2)));
}

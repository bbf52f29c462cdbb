/**
 * A thread that never returns to Node's event loop. It takes commands, in order, between two pieces
 * of its work, and reports each when it is carried out. The sender posts a command before it
 * increments their count, and an eventfd wakes a thread that waits for something else.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads';
import { close, eventfd, signalEventfd } from './libc.ts';

/** What such a thread needs in its workerData. */
export interface CommandChannel {
  /** One word: the number of the last command sent. */
  readonly control: SharedArrayBuffer;
  /** Eventfd that is written after each command. */
  readonly wake: number;
}

interface NumberedCommand<Command> {
  readonly number: number;
  readonly command: Command;
}

/** Message from the thread for every command, in order: it was carried out. */
interface Done {
  readonly done: number;
}

/** The thread, as seen by the thread that commands it. */
export class CommandedThread<Command> {
  /** Why the thread has ended, if it has. */
  failure: Error | undefined;
  /** Resolves with the reason when the thread has ended. */
  readonly ended: Promise<Error>;
  readonly #wake = eventfd();
  readonly #control = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;
  readonly #pending = new Map<number, () => void>();

  /**
   * Starts the thread in the network namespace of the calling thread.
   * @param setup its workerData, besides the channel
   * @param onExit called before pending commands and `ended` resolve
   */
  constructor(program: URL, name: string, setup: object, onExit: () => void = () => undefined) {
    const channel: CommandChannel = { control: this.#control.buffer as SharedArrayBuffer, wake: this.#wake };
    this.#worker = new Worker(program, { workerData: { ...setup, ...channel }, name });
    const ended = Promise.withResolvers<Error>();
    this.ended = ended.promise;
    let thrown: Error | undefined;
    this.#worker.on('message', ({ done }: Done) => {
      this.#pending.get(done)?.();
      this.#pending.delete(done);
    });
    this.#worker.on('error', (error) => {
      thrown = error instanceof Error ? error : new Error(String(error));
    });
    this.#worker.on('exit', (code) => {
      close(this.#wake);
      onExit();
      this.failure = thrown ?? new Error(`the thread ${name} ended with ${code}`);
      for (const done of this.#pending.values()) done();
      this.#pending.clear();
      ended.resolve(this.failure);
    });
  }

  /** Resolves when the thread has carried out the command, or has ended. */
  command(command: Command): Promise<void> {
    if (this.failure !== undefined) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const number = Atomics.load(this.#control, 0) + 1;
    this.#pending.set(number, resolve);
    this.#worker.postMessage({ number, command } satisfies NumberedCommand<Command>);
    Atomics.store(this.#control, 0, number);
    Atomics.notify(this.#control, 0);
    signalEventfd(this.#wake);
    return promise;
  }
}

/** The thread's own side. */
export class CommandInbox<Command> {
  readonly #control = new Int32Array((workerData as CommandChannel).control);
  readonly #port = parentPort as MessagePort;
  #carriedOut = 0;

  get isEmpty(): boolean {
    return Atomics.load(this.#control, 0) === this.#carriedOut;
  }

  /** Waits for a command, and for nothing else. */
  wait(): void {
    Atomics.wait(this.#control, 0, this.#carriedOut);
  }

  /** Carries out every command that has come. */
  carryOut(act: (command: Command) => void): void {
    for (;;) {
      const received: { message: NumberedCommand<Command> } | undefined = receiveMessageOnPort(this.#port);
      if (received === undefined) return;
      act(received.message.command);
      this.#carriedOut = received.message.number;
      this.#port.postMessage({ done: this.#carriedOut } satisfies Done);
    }
  }
}

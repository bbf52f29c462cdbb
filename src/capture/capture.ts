/** The process that captures, as its parent sees it: started, and started again when it ends; its frames are in a ring. */
import { type ChildProcess, fork } from 'node:child_process';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { close, eventfd } from '../sys/libc.ts';
import { mapShared, sharedMemory } from '../sys/shared-memory.ts';
import { captureAdvice } from './capture-advice.ts';
import type { CaptureReport, CaptureSetup } from './capture-messages.ts';
import { FrameRingReader, RING_BYTES } from './frame-ring.ts';

const PROGRAM = fileURLToPath(new URL(`./capture-process${extname(import.meta.filename)}`, import.meta.url));
/** Before a process is started again that did not live for as long, in ms. */
const RESTART = 200;

export interface CaptureOptions extends CaptureSetup {
  /** Calls `start` in the network namespace of the interfaces. @default that of the calling thread */
  readonly inNamespace?: <T>(start: () => T) => T;
  /** One of the interfaces was opened or closed, or why it is closed has changed. */
  readonly onChange: (change: CaptureChange) => void;
}

export interface CaptureChange {
  readonly interface: string;
  /** undefined while it is open. */
  readonly closed: string | undefined;
  /** The process has aborted, as cap does where any of its interfaces goes. Which one and why is told next, once it tries to open them again. */
  readonly isAbort?: true;
}

/** Nothing can be captured here: `message` says what is missing, and what brings it. */
export class CaptureUnavailableError extends Error {
  override readonly name = 'CaptureUnavailableError';
}

/** What another thread needs to read the frames. */
export interface CaptureHandle {
  readonly memory: number;
  /** Eventfd of the reader. */
  readonly wake: number;
  readonly room: number;
}

export class Capture {
  readonly #options: CaptureOptions;
  readonly handle: CaptureHandle;
  readonly #ring: FrameRingReader;
  /** Why each is closed; undefined while it is open, null before anything is known. */
  readonly #closed: (string | undefined | null)[];
  readonly #tried = Promise.withResolvers<void>();
  #child: ChildProcess | undefined;
  #startedAt = 0;
  #restart: NodeJS.Timeout | undefined;
  #stopping = false;
  /** How often the process has ended by itself. */
  restarts = 0;

  /** Starts the process. */
  constructor(options: CaptureOptions) {
    this.#options = options;
    this.handle = { memory: sharedMemory('podfence-frames', RING_BYTES), wake: eventfd(), room: eventfd() };
    this.#ring = readerOf(this.handle);
    this.#closed = options.interfaces.map(() => null);
    this.#tried.promise.catch(() => undefined);
    this.#start();
  }

  /** Resolves when every interface was tried once; rejects with a CaptureUnavailableError where nothing can be captured. */
  get tried(): Promise<void> {
    return this.#tried.promise;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  isOpen(index: number): boolean {
    return this.#closed[index] === undefined;
  }

  /** Why interfaces are closed, those that are. */
  get closed(): readonly CaptureChange[] {
    return this.#options.interfaces.flatMap((name, i) => {
      const closed = this.#closed[i];
      return typeof closed === 'string' ? [{ interface: name, closed }] : [];
    });
  }

  /** Frames that were captured, */
  get captured(): number {
    return this.#ring.captured;
  }

  /** and those that the kernel dropped because its buffer was full. */
  get dropped(): number {
    return this.#ring.dropped;
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child !== undefined) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    for (const fd of Object.values(this.handle)) close(fd);
  }

  #start(): void {
    const { interfaces, frames, bufferBytes, snapLength, inNamespace = (start) => start() } = this.#options;
    const { memory, wake, room } = this.handle;
    const setup: CaptureSetup = { interfaces, frames, bufferBytes, snapLength };
    this.#startedAt = performance.now();
    const child = inNamespace(() =>
      fork(PROGRAM, [String(process.pid), JSON.stringify(setup)], {
        execArgv: [],
        stdio: ['ignore', 'ignore', 'pipe', 'ipc', memory, wake, room],
      }),
    );
    this.#child = child;
    let said = '';
    if (child.stderr !== null) {
      createInterface(child.stderr).on('line', (line) => {
        if (!isExpected(line)) said = line;
      });
    }
    child.on('message', (message: CaptureReport) => this.#take(message));
    // A process that could not be started ends in no other way.
    child.on('error', (error) => {
      if (child.pid === undefined) this.#ended(error.message);
    });
    child.on('exit', (code, signal) => {
      const isAbort = signal === 'SIGABRT' && said === '';
      this.#ended(said === '' ? String(signal ?? `exit code ${code}`) : said, isAbort);
    });
  }

  #take(report: CaptureReport): void {
    switch (report.type) {
      case 'unavailable':
        this.#tried.reject(new CaptureUnavailableError(captureAdvice(report.message)));
        for (const index of this.#options.interfaces.keys()) {
          if (!this.isOpen(index)) this.#set(index, report.message);
        }
        break;
      case 'open':
        this.#set(report.index, undefined);
        break;
      case 'closed':
        this.#set(report.index, report.message);
        break;
    }
    if (this.#closed.every((each) => each !== null)) this.#tried.resolve();
  }

  #ended(why: string, isAbort = false): void {
    this.#child = undefined;
    if (this.#stopping) return;
    this.restarts++;
    const wait = performance.now() - this.#startedAt < RESTART ? RESTART : 0;
    this.#restart = setTimeout(() => this.#start(), wait);
    for (const index of this.#options.interfaces.keys()) {
      // One that was never tried is closed, too: nobody waits for a process that ends each time before it has tried.
      if (typeof this.#closed[index] !== 'string') this.#set(index, `the capturing process has ended: ${why}`, isAbort);
    }
    this.#tried.resolve();
  }

  #set(index: number, closed: string | undefined, isAbort = false): void {
    if (this.#closed[index] === closed) return;
    this.#closed[index] = closed;
    const change = { interface: this.#options.interfaces[index] ?? '', closed };
    this.#options.onChange(isAbort ? { ...change, isAbort } : change);
  }
}

/** Its frames, for the thread that judges them: one reader at a time. */
export function readerOf({ memory, room }: CaptureHandle): FrameRingReader {
  return new FrameRingReader(mapShared(memory, RING_BYTES), room);
}

/** What libpcap and cap say on standard error where nothing is wrong: an interface without an IPv4 address, one that has gone. */
function isExpected(line: string): boolean {
  return line.includes('This may not actually work') || line.includes("Assertion `status == 0' failed");
}

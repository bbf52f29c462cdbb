/**
 * The parent's handle to a capture process: starts it, restarts it when it ends, and gives access
 * to the ring with its frames.
 */
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
/** A process that ended within this many ms is restarted only after as many more. */
const RESTART = 200;

export interface CaptureOptions extends CaptureSetup {
  /** Calls `start` in the interfaces' network namespace. @default the calling thread's */
  readonly inNamespace?: <T>(start: () => T) => T;
  /** Called when an interface opens or closes, or when the reason why it is closed changes. */
  readonly onChange: (change: CaptureChange) => void;
}

export interface CaptureChange {
  readonly interface: string;
  /** Why it is closed; undefined while it is open. */
  readonly closed: string | undefined;
  /**
   * The process aborted, as cap does when one of its interfaces vanishes. The new process reports
   * which one and why when it tries to open them again.
   */
  readonly isAbort?: true;
}

/** Nothing can be captured here; `message` says what is missing and how to get it. */
export class CaptureUnavailableError extends Error {
  override readonly name = 'CaptureUnavailableError';
}

/** What another thread needs to read the frames. */
export interface CaptureHandle {
  readonly memory: number;
  /** The reader's eventfd. */
  readonly wake: number;
  readonly room: number;
}

export class Capture {
  readonly #options: CaptureOptions;
  readonly handle: CaptureHandle;
  readonly #ring: FrameRingReader;
  /** Why each interface is closed; undefined while it is open, null before it was tried. */
  readonly #closed: (string | undefined | null)[];
  readonly #tried = Promise.withResolvers<void>();
  #child: ChildProcess | undefined;
  #startedAt = 0;
  #restart: NodeJS.Timeout | undefined;
  #stopping = false;
  /** How often the process ended without `stop`. */
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

  /**
   * Resolves when every interface was tried once. Rejects with CaptureUnavailableError if nothing
   * can be captured.
   */
  get tried(): Promise<void> {
    return this.#tried.promise;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  isOpen(index: number): boolean {
    return this.#closed[index] === undefined;
  }

  /** The closed interfaces, and why they are closed. */
  get closed(): readonly CaptureChange[] {
    return this.#options.interfaces.flatMap((name, i) => {
      const closed = this.#closed[i];
      return typeof closed === 'string' ? [{ interface: name, closed }] : [];
    });
  }

  /** Frames captured. */
  get captured(): number {
    return this.#ring.captured;
  }

  /** Frames that the kernel dropped because its buffer was full. */
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
    // A process that could not be started emits no `exit`.
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
      // Close interfaces that were never tried, too: a process that always ends before it tries
      // them must not keep `tried` pending.
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

/** Returns a reader of the ring, for the thread that judges the frames. One reader at a time. */
export function readerOf({ memory, room }: CaptureHandle): FrameRingReader {
  return new FrameRingReader(mapShared(memory, RING_BYTES), room);
}

/**
 * Whether libpcap or cap print this line without a fault: for an interface without an IPv4 address,
 * or for one that vanished.
 */
function isExpected(line: string): boolean {
  return line.includes('This may not actually work') || line.includes("Assertion `status == 0' failed");
}

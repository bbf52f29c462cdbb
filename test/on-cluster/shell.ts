/** Runs commands as child processes, and prints each before it runs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** In ms; then the command is killed. @default 120,000 */
  readonly timeout?: number;
  /** Prints nothing: for commands that are repeated often. */
  readonly quiet?: boolean;
  /**
   * For a running command: passes its lines, or those that match, on to standard output, or to a
   * function.
   */
  readonly echo?: true | RegExp | ((line: string) => void);
}

/** Prints a line of the run, with the time of day. */
export function say(line: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 19)}  ${line}\n`);
}

/** Runs a command to its end, whatever its exit code. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { input, env, cwd, timeout = 120_000, quiet = false } = options;
  if (!quiet) say(`$ ${shown(command)}`);
  const [file = '', ...args] = command;
  const child = spawn(file, args, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: env ?? process.env,
    ...(cwd === undefined ? {} : { cwd }),
    signal: AbortSignal.timeout(timeout),
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin?.on('error', () => undefined).end(input);
  const ended = Promise.withResolvers<Finished>();
  child.once('error', (error) =>
    ended.reject(
      error.name === 'AbortError'
        ? new CommandError(`no end after ${timeout} ms`, command, { code: null, stdout, stderr })
        : error,
    ),
  );
  child.once('close', (code) => ended.resolve({ code, stdout, stderr }));
  return ended.promise;
}

/** Runs a command that must succeed; returns its standard output. @throws CommandError */
export async function output(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const finished = await run(command, options);
  if (finished.code !== 0) throw new CommandError(`exit code ${finished.code}`, command, finished);
  return finished.stdout;
}

/** A failed command, with its output. */
class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly finished: Finished;

  constructor(what: string, command: readonly string[], finished: Finished) {
    super(`${shown(command)}: ${what}\n${(finished.stderr + finished.stdout).slice(-2000)}`);
    this.finished = finished;
  }
}

/** Every command that is still running. */
const running = new Set<Running>();

/** Ends all running commands. */
export async function stopRunning(signal: NodeJS.Signals): Promise<void> {
  await Promise.all(Array.from(running, (each) => each.stop(signal)));
}

/** From now on none of them outlives this process, whether it ends by itself or by a signal. */
export function stopWithProcess(): void {
  const stop = () => {
    for (const each of running) each.kill('SIGKILL');
  };
  process.on('exit', stop);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      stop();
      process.kill(process.pid, signal);
    });
  }
}

/** A command that runs until it is ended, and its lines. */
export class Running {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #watchers = new Set<() => void>();

  /** With any `input`, even an empty one, its standard input can be written. */
  constructor(command: readonly string[], { env, cwd, echo, input }: RunOptions = {}) {
    say(`$ ${shown(command)} &`);
    const [file = '', ...args] = command;
    // In its own process group, so that its children end with it.
    this.#child = spawn(file, args, {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
      env: env ?? process.env,
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.#child.stdin?.on('error', () => undefined).write(input ?? '');
    this.#ended = once(this.#child, 'close');
    running.add(this);
    void this.#ended.finally(() => running.delete(this)).catch(() => undefined);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        if (typeof echo === 'function') echo(line);
        else if (echo === true || echo?.test(line)) process.stdout.write(`${line}\n`);
        for (const watcher of this.#watchers) watcher();
      });
    }
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /**
   * Resolves with the first matching line from number `from` on. @throws Error after `timeout` ms
   */
  async line(pattern: RegExp, { from = 0, timeout = 60_000 } = {}): Promise<string> {
    const found = () => this.lines.slice(from).find((line) => pattern.test(line));
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const look = () => {
      const line = found();
      if (line !== undefined) resolve(line);
    };
    const timer = setTimeout(
      () => reject(new Error(`no line ${pattern} in ${timeout} ms; the last ones: ${this.lines.slice(-5).join('\n')}`)),
      timeout,
    );
    this.#watchers.add(look);
    look();
    const gone = this.#ended.then(() => {
      throw new Error(`it has ended; its last lines: ${this.lines.slice(-5).join('\n')}`);
    });
    gone.catch(() => undefined);
    try {
      return await Promise.race([promise, gone]);
    } finally {
      clearTimeout(timer);
      this.#watchers.delete(look);
    }
  }

  /**
   * Resolves with the exit code when it ends; null if it was killed, also by the `timeout` in ms.
   */
  async exit(timeout: number): Promise<number | null> {
    const timer = setTimeout(() => void this.stop('SIGKILL'), timeout);
    await this.#ended;
    clearTimeout(timer);
    return this.#child.exitCode;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.kill(signal)) return;
    const force = setTimeout(() => this.kill('SIGKILL'), 5000);
    await this.#ended;
    clearTimeout(force);
  }

  /** Sends a signal to the command and its children; false if it has ended. */
  kill(signal: NodeJS.Signals): boolean {
    const { pid, exitCode, signalCode } = this.#child;
    return pid !== undefined && exitCode === null && signalCode === null && process.kill(-pid, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Returns the command as a user would type it, shortened if it is long. */
function shown(command: readonly string[]): string {
  const text = command.map((word) => (/^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word}'`)).join(' ');
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > 150 ? `${line.slice(0, 149)}…` : line;
}

/**
 * Starts other programs without copying this process.
 *
 * Node starts a program with fork(2), which copies the page tables of the whole process, and every
 * page that one of its threads writes afterwards costs a fault. With 200 MB that takes longer than
 * most tools run, and the threads that judge packets pay for it. posix_spawn(3) shares the memory
 * until the program has begun.
 */
import { accessSync, constants } from 'node:fs';
import { Socket } from 'node:net';
import { constants as osConstants } from 'node:os';
import { delimiter, join } from 'node:path';
import { close, errno, SystemCallError } from './libc.ts';
import { libcFunction } from './native.ts';

/** How a program ended. */
export interface Ending {
  /** Exit code; null if a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const O_CLOEXEC = 0o2000000;
const WNOHANG = 1;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const { ENOENT } = osConstants.errno;
/** Larger than sigset_t, posix_spawnattr_t (336) and posix_spawn_file_actions_t of every libc. */
const STRUCT_BYTES = 512;
/** The longest pause between two looks at a program that has closed its output, in ms. */
const LONGEST_PAUSE = 50;

const c_pipe2 = libcFunction('int pipe2(_Out_ int *ends, int flags)');
const c_waitpid = libcFunction('int waitpid(int pid, _Out_ int *status, int options)');
const c_sigfillset = libcFunction('int sigfillset(void *set)');
const c_attr_init = libcFunction('int posix_spawnattr_init(void *attributes)');
const c_attr_setsigdefault = libcFunction('int posix_spawnattr_setsigdefault(void *attributes, const void *set)');
const c_attr_setflags = libcFunction('int posix_spawnattr_setflags(void *attributes, short flags)');
const c_actions_init = libcFunction('int posix_spawn_file_actions_init(void *actions)');
const c_actions_adddup2 = libcFunction('int posix_spawn_file_actions_adddup2(void *actions, int from, int to)');
const c_actions_destroy = libcFunction('int posix_spawn_file_actions_destroy(void *actions)');
const c_spawn = libcFunction(
  'int posix_spawn(_Out_ int *pid, const char *path, const void *actions, const void *attributes, ' +
    'const char **arguments, const char **environment)',
);

const signalNames = new Map(
  Object.entries(osConstants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
);

/** A program that runs, and what it has printed so far. */
export class Program {
  readonly pid: number;
  /** Resolves when it has ended and its output is complete. */
  readonly ended: Promise<Ending>;
  readonly #stdin: Socket;
  readonly #outputs: readonly [Socket, Socket];
  #hasEnded = false;

  private constructor(pid: number, stdin: Socket, outputs: readonly [Socket, Socket]) {
    this.pid = pid;
    this.#stdin = stdin;
    this.#outputs = outputs;
    // The exit code of a program that ends before it has read its input says more than EPIPE.
    stdin.on('error', () => {});
    this.ended = this.#end();
  }

  /**
   * Starts a program in the network namespace that the calling thread is in. Throws SystemCallError
   * (ENOENT if `command` is not on the PATH of `environment`).
   */
  static start(command: string, args: readonly string[], environment: Environment = process.env): Program {
    const path = find(command, environment.PATH);
    const [[input, stdin], [stdout, output], [stderr, errors]] = threePipes();
    const actions = new Uint8Array(STRUCT_BYTES);
    c_actions_init(actions);
    for (const [standard, end] of [input, output, errors].entries()) c_actions_adddup2(actions, end, standard);
    const variables = Object.entries(environment).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    const pid: [number] = [0];
    const failure = c_spawn(pid, path, actions, attributes(), [command, ...args, null], [...variables, null]) as number;
    c_actions_destroy(actions);
    for (const end of [input, output, errors]) close(end);
    if (failure !== 0) {
      for (const end of [stdin, stdout, stderr]) close(end);
      throw new SystemCallError('posix_spawn', failure);
    }
    const reading = (fd: number) => new Socket({ fd, readable: true, writable: false });
    return new Program(pid[0], new Socket({ fd: stdin, readable: false, writable: true }), [
      reading(stdout),
      reading(stderr),
    ]);
  }

  get isRunning(): boolean {
    return !this.#hasEnded;
  }

  /** Sends the rest of its standard input. */
  end(input: string): void {
    this.#stdin.end(input);
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (this.isRunning) process.kill(this.pid, signal);
  }

  /** Lets the program keep this process alive, as it does at first. */
  ref(): void {
    for (const stream of [this.#stdin, ...this.#outputs]) stream.ref();
  }

  /** Lets this process end while the program runs. */
  unref(): void {
    for (const stream of [this.#stdin, ...this.#outputs]) stream.unref();
  }

  async #end(): Promise<Ending> {
    const [stdout, stderr] = (await Promise.all(this.#outputs.map(textOf))) as [string, string];
    const status = await reap(this.pid);
    this.#hasEnded = true;
    this.#stdin.destroy();
    const signal = status & 0x7f;
    return signal === 0
      ? { code: status >> 8, signal: null, stdout, stderr }
      : { code: null, signal: signalNames.get(signal) ?? 'SIGKILL', stdout, stderr };
  }
}

let known: Uint8Array | undefined;

/**
 * posix_spawnattr_t: all signals as they are by default, and none blocked. Node ignores SIGPIPE.
 */
function attributes(): Uint8Array {
  if (known !== undefined) return known;
  const all = new Uint8Array(STRUCT_BYTES);
  known = new Uint8Array(STRUCT_BYTES);
  c_sigfillset(all);
  c_attr_init(known);
  c_attr_setsigdefault(known, all);
  // The mask that posix_spawnattr_init leaves is empty.
  c_attr_setflags(known, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  return known;
}

/** Opens all three or none. Throws SystemCallError (EMFILE). */
function threePipes(): readonly [Pipe, Pipe, Pipe] {
  const pipes: Pipe[] = [];
  try {
    for (let i = 0; i < 3; i++) pipes.push(pipe());
    return pipes as unknown as readonly [Pipe, Pipe, Pipe];
  } catch (error) {
    for (const end of pipes.flat()) close(end);
    throw error;
  }
}

type Pipe = [number, number];

/** Returns the ends for reading and for writing. */
function pipe(): Pipe {
  const ends: Pipe = [-1, -1];
  if (c_pipe2(ends, O_CLOEXEC) !== 0) throw new SystemCallError('pipe2', errno());
  return ends;
}

/** Like execvp(3), but by the PATH of the program's environment. */
function find(command: string, path = ''): string {
  if (command.includes('/')) return command;
  for (const folder of path.split(delimiter)) {
    const file = join(folder || '.', command);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // It may be in the next folder.
    }
  }
  throw new SystemCallError('posix_spawn', ENOENT);
}

/** Resolves with everything that can be read, at the stream's end or error. */
function textOf(stream: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<string>();
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', () => {});
  stream.on('close', () => resolve(Buffer.concat(chunks).toString()));
  return promise;
}

/**
 * Resolves with the status of wait(2). A program that has closed its output is about to end, as a
 * rule: its files are closed a moment before it can be waited for.
 */
async function reap(pid: number): Promise<number> {
  const status: [number] = [0];
  for (let pause = 0; ; pause = Math.min(2 * pause || 1, LONGEST_PAUSE)) {
    const result = c_waitpid(pid, status, WNOHANG) as number;
    if (result === pid) return status[0];
    if (result < 0) throw new SystemCallError('waitpid', errno());
    await new Promise<void>((resolve) => (pause === 0 ? setImmediate(resolve) : setTimeout(resolve, pause)));
  }
}

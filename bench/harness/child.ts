/**
 * Measurements in processes of their own: what the machine code of one was tuned to, and the heap that it left, would colour the next.
 *
 *     const runs = await inChild<number[]>(new URL('./lookup-process.ts', import.meta.url), { flows: 1000 }, { signal });
 *
 *     // lookup-process.ts
 *     answer(({ flows }: { flows: number }) => measure(flows));
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface ChildOptions {
  /** Ends the child at once. */
  readonly signal?: AbortSignal;
  /** Flags of Node: `--expose-gc`. */
  readonly flags?: readonly string[];
  /** What the child says meanwhile, by `report`. */
  readonly onReport?: (report: unknown) => void;
}

type FromChild = { readonly answer: unknown } | { readonly error: string } | { readonly report: unknown };

/**
 * Runs a file that calls `answer` and gives what it answers. Input and answer go through structured clone.
 * @throws Error with the child's own error, or how it ended, or that of `signal`
 */
export async function inChild<T>(
  file: URL,
  input: unknown,
  { signal, flags = [], onReport }: ChildOptions = {},
): Promise<T> {
  signal?.throwIfAborted();
  const child = fork(fileURLToPath(file), {
    execArgv: [...flags],
    serialization: 'advanced',
    killSignal: 'SIGKILL',
    ...(signal && { signal }),
  });
  return await new Promise<T>((resolve, reject) => {
    child.once('error', (error) => reject(signal?.aborted ? signal.reason : error));
    child.once('exit', (code, ended) => {
      reject(signal?.reason ?? new Error(`${fileURLToPath(file)} ended without an answer: ${ended ?? `code ${code}`}`));
    });
    child.on('message', (message: FromChild) => {
      if ('report' in message) onReport?.(message.report);
      else if ('error' in message) reject(new Error(message.error));
      else resolve(message.answer as T);
    });
    child.send({ input });
  }).finally(() => child.kill('SIGKILL'));
}

/** In the child: does the work that `inChild` asked for. */
export function answer<Input>(work: (input: Input) => unknown): void {
  process.once('disconnect', () => process.exit());
  process.once('message', async ({ input }: { input: Input }) => {
    let message: FromChild;
    try {
      message = { answer: await work(input) };
    } catch (error) {
      message = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    process.send?.(message);
  });
}

/** In the child: tells the parent where the work stands. */
export function report(what: unknown): void {
  process.send?.({ report: what } satisfies FromChild);
}

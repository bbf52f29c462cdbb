/**
 * Runs measurements in their own processes: the optimised code and the heap of one would affect the
 * next.
 *
 *     const file = new URL('./lookup-process.ts', import.meta.url);
 *     const runs = await inChild<number[]>(file, { flows: 1000 }, { signal });
 *
 *     // lookup-process.ts
 *     answer(({ flows }: { flows: number }) => measure(flows));
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface ChildOptions {
  /** Kills the child at once. */
  readonly signal?: AbortSignal;
  /** Flags for Node, for example `--expose-gc`. */
  readonly flags?: readonly string[];
  /** Called with what the child sends by `report`. */
  readonly onReport?: (report: unknown) => void;
}

type FromChild = { readonly answer: unknown } | { readonly error: string } | { readonly report: unknown };

/**
 * Runs a file that calls `answer`, and resolves with its answer. Input and answer pass through
 * structured clone.
 * @throws Error the child's own error, how the child ended, or the reason of `signal`
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

/** In the child: does the work that `inChild` asks for. */
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

/** In the child: sends the parent a report while the work goes on. */
export function report(what: unknown): void {
  process.send?.({ report: what } satisfies FromChild);
}

/** The faults that fuzzing finds: how they are told apart, and how an input is reduced. */
import type { Target } from './target.ts';

export interface Fault {
  readonly message: string;
  /** The same for all inputs that cause the same fault. */
  readonly signature: string;
  /** Index of the input in the run with its seed. */
  readonly index: number;
  readonly input: Uint8Array;
}

/** Describes the error that a target's run of an input threw. */
export function describe(error: unknown): { readonly message: string; readonly signature: string } {
  if (!(error instanceof Error)) return { message: String(error), signature: masked(String(error)) };
  const { name, message } = error;
  const frames = (error.stack ?? '').split('\n').filter((line) => line.includes('/src/'));
  // A violation is identified by its words, any other error by its origin.
  if (name === 'Violation') return { message, signature: masked(message) };
  return {
    message: `${name}: ${message}\n${frames.slice(0, 4).join('\n')}`,
    signature: masked(`${name} ${place(frames[0])}`),
  };
}

/** Returns `src/packet/decode.ts readIpv4`: the line number changes too often. */
function place(frame = ''): string {
  return `${/\/(src\/[\w./-]+)/.exec(frame)?.[1] ?? ''} ${/at ([\w.#]+) /.exec(frame)?.[1] ?? ''}`;
}

function masked(message: string): string {
  return (message.split('\n')[0] ?? '').replaceAll(/[0-9a-f]*\d[0-9a-f]*/g, '#').slice(0, 120);
}

/** Runs an input; returns the fault that it causes. */
export async function faultOf(target: Target, input: Uint8Array) {
  try {
    await target.run(input);
    return undefined;
  } catch (error) {
    return describe(error);
  }
}

/** Reduces an input: removes parts as long as the fault stays the same and time (ms) is left. */
export async function minimised(
  target: Target,
  input: Uint8Array,
  signature: string,
  time: number,
): Promise<Uint8Array> {
  const deadline = Date.now() + time;
  let best = input;
  for (let part = input.length >> 1; part >= 1; part >>= 1) {
    for (let at = 0; at < best.length && Date.now() < deadline; ) {
      const smaller = Uint8Array.from([...best.subarray(0, at), ...best.subarray(at + part)]);
      if ((await faultOf(target, smaller))?.signature === signature) best = smaller;
      else at += part;
    }
  }
  return best;
}

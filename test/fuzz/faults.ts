/** What fuzzing has found: how faults are told apart, and the smaller input that shows one. */
import type { Target } from './target.ts';

export interface Fault {
  readonly message: string;
  /** The same for inputs that show the same fault. */
  readonly signature: string;
  /** Of the run with its seed. */
  readonly index: number;
  readonly input: Uint8Array;
}

/** What a target's run of an input has thrown. */
export function describe(error: unknown): { readonly message: string; readonly signature: string } {
  if (!(error instanceof Error)) return { message: String(error), signature: masked(String(error)) };
  const { name, message } = error;
  const frames = (error.stack ?? '').split('\n').filter((line) => line.includes('/src/'));
  // A property's own words tell which; of any other error it counts where it comes from.
  if (name === 'Violation') return { message, signature: masked(message) };
  return {
    message: `${name}: ${message}\n${frames.slice(0, 4).join('\n')}`,
    signature: masked(`${name} ${place(frames[0])}`),
  };
}

/** `src/packet/decode.ts readIpv4`: the line moves too often. */
function place(frame = ''): string {
  return `${/\/(src\/[\w./-]+)/.exec(frame)?.[1] ?? ''} ${/at ([\w.#]+) /.exec(frame)?.[1] ?? ''}`;
}

function masked(message: string): string {
  return (message.split('\n')[0] ?? '').replaceAll(/[0-9a-f]*\d[0-9a-f]*/g, '#').slice(0, 120);
}

/** Runs an input; gives back the fault that it shows. */
export async function faultOf(target: Target, input: Uint8Array) {
  try {
    await target.run(input);
    return undefined;
  } catch (error) {
    return describe(error);
  }
}

/** A smaller input with the same fault: parts are left out as long as that, and the time (ms), allows. */
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

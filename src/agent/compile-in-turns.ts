/** Compiling changes, however many there are and however much they concern, while the event loop goes on. */
import type { ClusterChange } from '../cluster/store.ts';
import type { CompiledPolicies, PolicyCompiler } from '../policy/compiler.ts';
import type { FairTurns } from './fair-turns.ts';

/** Changes that are taken note of in one go: some ms. */
export const PIECE = 500;

/**
 * Nothing may be applied or compiled meanwhile. Throws the reason of `signal` where it is aborted between two turns; what was compiled is then of no use.
 * @param turns of which the first has just begun; the last ends with the result
 */
export async function compileInTurns(
  compiler: PolicyCompiler,
  changes: readonly ClusterChange[],
  turns: FairTurns,
  signal?: AbortSignal,
): Promise<CompiledPolicies> {
  const pause = async () => {
    await turns.pause();
    signal?.throwIfAborted();
  };
  for (let at = 0; at < changes.length; at += PIECE) {
    if (at > 0) await pause();
    compiler.apply(changes.slice(at, at + PIECE));
    for (const _ of compiler.settleInPieces()) if (turns.isOver()) await pause();
  }
  // What is left is not cut.
  if (turns.isOver(0.5)) await pause();
  return compiler.compile();
}

/** Compiles any number of changes without blocking the event loop. */
import type { ClusterChange } from '../cluster/store.ts';
import type { CompiledPolicies, PolicyCompiler } from '../policy/compiler.ts';
import type { FairTurns } from './fair-turns.ts';

/** Changes applied between two pauses: some ms of work. */
export const PIECE = 500;

/**
 * Applies the changes to the compiler and compiles, in turns. The caller must not use the compiler
 * meanwhile. Throws the reason of `signal` if it is aborted between two turns; the compiler's state
 * is then of no use.
 * @param turns the first turn has just begun; the last ends with the result
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
  // `compile` runs in one piece.
  if (turns.isOver(0.5)) await pause();
  return compiler.compile();
}

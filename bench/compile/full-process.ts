/** The full compile of a cluster, as an agent does it once, in a process that does nothing else. */
import { answer } from '../harness/child.ts';
import { peakMemory } from '../harness/memory.ts';
import { type ClusterSize, recordsOf } from './cluster.ts';
import { CompilerRun } from './compiler-run.ts';

export interface FullAnswer {
  readonly ms: number;
  /** Peak memory of the whole process, including the cluster's records. */
  readonly peakBytes: number;
  /** Memory before anything is compiled: Node and the records. */
  readonly recordsBytes: number;
  readonly tableBytes: number;
}

answer(async (size: ClusterSize): Promise<FullAnswer> => {
  const records = recordsOf(size);
  // Garbage left from making the records is not the compiler's.
  gc?.();
  const recordsBytes = peakMemory();
  const run = new CompilerRun();
  const { ms } = await run.all(records);
  return { ms, peakBytes: peakMemory(), recordsBytes, tableBytes: run.tableBytes };
});

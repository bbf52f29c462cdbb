/** Compiles a cluster in a bad shape, all at once, then edits its policy. */
import { answer } from '../harness/child.ts';
import { peakMemory } from '../harness/memory.ts';
import { CompilerRun } from './compiler-run.ts';
import { SHAPES } from './shapes.ts';

export interface ShapeInput {
  readonly shape: string;
  readonly n: number;
  readonly edits: number;
}

export interface ShapeAnswer {
  readonly fullMs: number;
  readonly editMs: readonly number[];
  readonly tableBytes: number;
  readonly peakBytes: number;
}

answer(async ({ shape, n, edits }: ShapeInput): Promise<ShapeAnswer> => {
  const { records, edited } = SHAPES[shape]?.(n) ?? { records: [], edited: undefined };
  if (edited === undefined) throw new Error(`no shape is called ${shape}`);
  const run = new CompilerRun();
  const { ms: fullMs } = await run.all(records);
  const editMs: number[] = [];
  for (let i = 0; i < edits; i++) {
    const ingress = [...edited.ingress, { peers: [], ports: [{ protocol: 'TCP' as const, port: 1 + i }] }];
    const { ms } = await run.change([{ type: 'set', record: { ...edited, ingress } }]);
    editMs.push(ms);
  }
  return { fullMs, editMs, tableBytes: run.tableBytes, peakBytes: peakMemory() };
});

/** A cluster in a bad shape: all at once, then edits of its policy. */
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

answer(({ shape, n, edits }: ShapeInput): ShapeAnswer => {
  const { records, edited } = SHAPES[shape]?.(n) ?? { records: [], edited: undefined };
  if (edited === undefined) throw new Error(`no shape is called ${shape}`);
  const run = new CompilerRun();
  const { ms: fullMs } = run.all(records);
  const editMs = Array.from({ length: edits }, (_, i) => {
    const ingress = [...edited.ingress, { peers: [], ports: [{ protocol: 'TCP' as const, port: 1 + i }] }];
    return run.change([{ type: 'set', record: { ...edited, ingress } }]).ms;
  });
  return { fullMs, editMs, tableBytes: run.tableBytes, peakBytes: peakMemory() };
});

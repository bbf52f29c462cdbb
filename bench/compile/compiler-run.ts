/** A compiler of one cluster, and the main thread's time that each change takes it. */
import type { ClusterRecord } from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import type { RuleTable } from '../../src/policy/rule-table.ts';
import { threadCpuUs } from '../harness/cpu-time.ts';
import { NODE } from './cluster.ts';

export class CompilerRun {
  readonly #compiler = new PolicyCompiler(NODE);
  #table: RuleTable | undefined;

  /** Gives ms. */
  all(records: readonly ClusterRecord[]): number {
    return this.change(records.map((record) => ({ type: 'set', record })));
  }

  /** From the change to a table that can be published. Gives ms. */
  change(changes: readonly ClusterChange[]): number {
    const before = threadCpuUs();
    this.#compiler.apply(changes);
    const { table } = this.#compiler.compile();
    const spent = threadCpuUs() - before;
    // As the agent does when all workers have the newer table.
    if (this.#table !== undefined) this.#compiler.recycle(this.#table);
    this.#table = table;
    return spent / 1000;
  }

  get tableBytes(): number {
    return this.#table?.buffer.byteLength ?? 0;
  }
}

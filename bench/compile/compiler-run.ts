/** A compiler of one cluster, and the main thread's time that each change takes it. */
import { setImmediate } from 'node:timers/promises';
import type { ClusterRecord } from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import type { RuleTable } from '../../src/policy/rule-table.ts';
import { threadCpuUs } from '../harness/cpu-time.ts';
import { NODE } from './cluster.ts';

/** What a change takes of the main thread, in ms. */
export interface Taken {
  readonly ms: number;
  /** The longest time that nothing else got its turn, where the agent lets others have it. */
  readonly turnMs: number;
}

/** As in agent/agent.ts, in ms. */
const TURN = 0.5;

export class CompilerRun {
  readonly #compiler = new PolicyCompiler(NODE);
  #table: RuleTable | undefined;

  all(records: readonly ClusterRecord[]): Promise<Taken> {
    return this.change(records.map((record) => ({ type: 'set', record })));
  }

  /** From the change to a table that can be published, in turns as the agent does it. What Node and V8 do between and after them, such as collecting garbage, is counted too. */
  async change(changes: readonly ClusterChange[]): Promise<Taken> {
    let ms = 0;
    let turnMs = 0;
    let start = performance.now();
    let used = threadCpuUs();
    const count = () => {
      const now = threadCpuUs();
      ms += (now - used) / 1000;
      turnMs = Math.max(turnMs, (now - used) / 1000);
      used = now;
    };
    this.#compiler.apply(changes);
    for (const _ of this.#compiler.settleInPieces()) {
      if (performance.now() - start <= TURN) continue;
      count();
      await setImmediate();
      count();
      start = performance.now();
    }
    const { table } = this.#compiler.compile();
    // As the agent does when all workers have the newer table.
    if (this.#table !== undefined) this.#compiler.recycle(this.#table);
    this.#table = table;
    count();
    await setImmediate();
    count();
    return { ms, turnMs };
  }

  get tableBytes(): number {
    return this.#table?.buffer.byteLength ?? 0;
  }
}

/** A compiler of one cluster, and the main thread's time that each change takes it. */
import { compileInTurns } from '../../src/agent/compile-in-turns.ts';
import { FairTurns } from '../../src/agent/fair-turns.ts';
import type { ClusterRecord } from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import type { RuleTable } from '../../src/policy/rule-table.ts';
import { keepYoungSpaceSmall } from '../../src/sys/engine.ts';
import { threadCpuUs } from '../harness/cpu-time.ts';
import { NODE } from './cluster.ts';

/** What a change takes of the main thread, in ms. */
export interface Taken {
  readonly ms: number;
  /** The longest time that nothing else got its turn, where the agent lets others have it. */
  readonly turnMs: number;
}

/** Turns that count the CPU time of each, and of what Node and V8 do between them, such as collecting garbage. */
class CountedTurns extends FairTurns implements Taken {
  ms = 0;
  turnMs = 0;
  #used = threadCpuUs();

  /** What was used since this was last called is one turn. */
  #count(): void {
    const now = threadCpuUs();
    const turn = (now - this.#used) / 1000;
    this.ms += turn;
    this.turnMs = Math.max(this.turnMs, turn);
    this.#used = now;
  }

  override async pause(): Promise<void> {
    this.#count();
    await super.pause();
    this.#count();
  }
}

/** In a process whose heap is as the agent's. */
export class CompilerRun {
  readonly #compiler = new PolicyCompiler(NODE.name);
  #table: RuleTable | undefined;

  constructor() {
    keepYoungSpaceSmall();
  }

  all(records: readonly ClusterRecord[]): Promise<Taken> {
    return this.change(records.map((record) => ({ type: 'set', record })));
  }

  /** From the change to a table that can be published, as the agent does it. */
  async change(changes: readonly ClusterChange[]): Promise<Taken> {
    const turns = new CountedTurns();
    const { table } = await compileInTurns(this.#compiler, changes, turns);
    // As the agent does when all workers have the newer table.
    if (this.#table !== undefined) this.#compiler.recycle(this.#table);
    this.#table = table;
    await turns.pause();
    const { ms, turnMs } = turns;
    return { ms, turnMs };
  }

  get tableBytes(): number {
    return this.#table?.buffer.byteLength ?? 0;
  }
}

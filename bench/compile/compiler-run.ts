/** Compiles one cluster, and measures the main thread's time for each change. */
import { compileInTurns } from '../../src/agent/compile-in-turns.ts';
import { FairTurns } from '../../src/agent/fair-turns.ts';
import type { ClusterRecord } from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import type { RuleTable } from '../../src/policy/rule-table.ts';
import { keepYoungSpaceSmall } from '../../src/sys/engine.ts';
import { threadCpuUs } from '../harness/cpu-time.ts';
import { NODE } from './cluster.ts';

/** The main thread's time for a change, in ms. */
export interface Taken {
  readonly ms: number;
  /** The longest time without a pause in which the agent lets other work run. */
  readonly turnMs: number;
}

/**
 * Turns that count CPU time, including what Node and V8 use between them, such as collecting
 * garbage.
 */
class CountedTurns extends FairTurns implements Taken {
  ms = 0;
  turnMs = 0;
  #used = threadCpuUs();

  /** Counts everything used since the last call as one turn. */
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

/** Runs in a process with the agent's heap settings. */
export class CompilerRun {
  readonly #compiler = new PolicyCompiler(NODE.name);
  #table: RuleTable | undefined;

  constructor() {
    keepYoungSpaceSmall();
  }

  all(records: readonly ClusterRecord[]): Promise<Taken> {
    return this.change(records.map((record) => ({ type: 'set', record })));
  }

  /** Applies a change as the agent does, up to a table that can be published. */
  async change(changes: readonly ClusterChange[]): Promise<Taken> {
    const turns = new CountedTurns();
    const { table } = await compileInTurns(this.#compiler, changes, turns);
    // As the agent does once all workers have the newer table.
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

/** A compiler of one cluster, and the main thread's time that each change takes it. */
import { setImmediate } from 'node:timers/promises';
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

/** Changes that are applied in one go, as in agent/agent.ts. */
const PIECE = 500;

/** In a process whose heap is as the agent's. */
export class CompilerRun {
  readonly #compiler = new PolicyCompiler(NODE);
  #table: RuleTable | undefined;

  constructor() {
    keepYoungSpaceSmall();
  }

  all(records: readonly ClusterRecord[]): Promise<Taken> {
    return this.change(records.map((record) => ({ type: 'set', record })));
  }

  /** From the change to a table that can be published, in turns as the agent does it. What Node and V8 do between and after them, such as collecting garbage, is counted too. */
  async change(changes: readonly ClusterChange[]): Promise<Taken> {
    let ms = 0;
    let turnMs = 0;
    let used = threadCpuUs();
    const count = () => {
      const now = threadCpuUs();
      ms += (now - used) / 1000;
      turnMs = Math.max(turnMs, (now - used) / 1000);
      used = now;
    };
    const turns = new FairTurns();
    const pause = async () => {
      count();
      await turns.pause();
      count();
    };
    for (let at = 0; at < changes.length; at += PIECE) {
      if (at > 0) await pause();
      this.#compiler.apply(changes.slice(at, at + PIECE));
      for (const _ of this.#compiler.settleInPieces()) if (turns.isOver()) await pause();
    }
    if (turns.isOver(0.5)) await pause();
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

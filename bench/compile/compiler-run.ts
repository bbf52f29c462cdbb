/** A compiler of one cluster, and the main thread's time that each change takes it. */
import { setImmediate } from 'node:timers/promises';
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

/** As in agent/agent.ts, in ms; and changes that are applied in one go. */
const TURN = 0.5;
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
    let start = performance.now();
    let used = threadCpuUs();
    const count = () => {
      const now = threadCpuUs();
      ms += (now - used) / 1000;
      turnMs = Math.max(turnMs, (now - used) / 1000);
      used = now;
    };
    const pause = async () => {
      count();
      await setImmediate();
      count();
      start = performance.now();
    };
    for (let at = 0; at < changes.length; at += PIECE) {
      if (at > 0) await pause();
      this.#compiler.apply(changes.slice(at, at + PIECE));
      for (const _ of this.#compiler.settleInPieces()) if (performance.now() - start > TURN) await pause();
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

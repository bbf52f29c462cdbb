/**
 * The order in which threads get commands and are replaced, with fake threads.
 * queue-workers.test.ts has real ones.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { JudgingThreads } from '../../src/judging/judging-threads.ts';
import type { Command } from '../../src/judging/protocol.ts';
import type { CommandedThread } from '../../src/sys/commanded-thread.ts';
import { Sequence } from '../../src/sys/sequence.ts';
import { eventually } from '../patience.ts';

/** A thread that records its commands, and ends on command or when a test ends it. */
class Thread {
  failure: Error | undefined;
  readonly commands: Command['type'][] = [];
  readonly table: SharedArrayBuffer;
  readonly #ended = Promise.withResolvers<Error>();
  readonly ended = this.#ended.promise;

  constructor(table: SharedArrayBuffer) {
    this.table = table;
  }

  async command({ type }: Command): Promise<void> {
    if (this.failure !== undefined) return;
    this.commands.push(type);
    if (type === 'stop') this.end('told to');
  }

  end(why: string): void {
    this.failure = new Error(why);
    this.#ended.resolve(this.failure);
  }
}

describe('threads that judge', () => {
  const [older, newer] = [new SharedArrayBuffer(4), new SharedArrayBuffer(4)];
  let sequence: Sequence;
  let started: Thread[];
  let said: string[];
  let threads: JudgingThreads;
  /** Whether binding fails. */
  let cannotBind: boolean;
  /** Called for each thread that is started. */
  let starts: () => void;

  beforeEach(async () => {
    vi.useFakeTimers();
    sequence = new Sequence();
    started = [];
    said = [];
    cannotBind = false;
    starts = () => undefined;
    threads = new JudgingThreads(
      {
        ...{ first: 0, count: 1, flowCapacity: 1, offload: true, sequence },
        beforeBind: async () => {
          said.push('told of connections');
          if (cannotBind) started.at(-1)?.end('cannot bind');
          return 0;
        },
        onFailure: (_, error) => said.push(`failed: ${error.message}`),
        onReplaced: () => said.push('replaced'),
      },
      older,
      (_, { table }) => {
        starts();
        const thread = new Thread(table);
        started.push(thread);
        return thread as unknown as CommandedThread<Command>;
      },
    );
    await sequence.run(() => threads.bind());
    said.length = 0;
  });
  afterEach(async () => {
    await sequence.end(() => threads.stop());
    vi.useRealTimers();
  });

  it('are replaced after a change in progress, with its table, and then get the connections', async () => {
    const goOn = Promise.withResolvers<void>();
    const change = sequence.run(async () => {
      await threads.command({ type: 'table', table: newer });
      started[0]?.end('died');
      await goOn.promise;
      said.push('connections judged again');
      await threads.command({ type: 'seed', flows: new Int32Array() });
    });
    await eventually(() => expect(said).toEqual(['failed: died']));
    await vi.runAllTimersAsync();
    expect(started.length).toBe(1);
    goOn.resolve();
    await change;
    await eventually(() =>
      expect(said).toEqual(['failed: died', 'connections judged again', 'told of connections', 'replaced']),
    );
    expect(started[1]?.table).toBe(newer);
    expect(started[1]?.commands).toEqual(['bind']);
  });

  it('that cannot be started are tried again', async () => {
    let refusals = 2;
    starts = () => {
      if (refusals-- > 0) throw new Error('no descriptor left');
    };
    started[0]?.end('died');
    await eventually(() => expect(said).toContain('failed: no descriptor left'));
    await vi.runAllTimersAsync();
    await eventually(() => expect(said.at(-1)).toBe('replaced'));
    expect(said.filter((each) => each === 'failed: no descriptor left')).toHaveLength(2);
  });

  it('that cannot be replaced are tried again, but not after the end', async () => {
    cannotBind = true;
    started[0]?.end('died');
    const failures = () => said.filter((each) => each.startsWith('failed')).length;
    await eventually(() => expect(failures()).toBe(2));
    await vi.advanceTimersToNextTimerAsync();
    await eventually(() => expect(failures()).toBe(3));
    const { length } = started;
    const end = sequence.end(() => threads.stop());
    await vi.runAllTimersAsync();
    await end;
    expect(started.length).toBe(length);
    expect(vi.getTimerCount()).toBe(0);
  });
});

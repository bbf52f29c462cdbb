/**
 * A process that runs an agent on a source whose first change cannot be taken at first. It sends
 * the agent's readiness before, meanwhile and after, and ends.
 */
import pino from 'pino';
import type { OnChanges, TakeChanges } from '../../src/cluster/store.ts';
import type { Readiness } from '../../src/telemetry/agent-view.ts';
import { bareAgent } from './bare-agent.ts';

export interface FailingChange {
  readonly before: Readiness;
  readonly meanwhile: Readiness;
  readonly after: Readiness;
  /** How often the agent logged that it tries again. */
  readonly retries: number;
}

/** Attempts that fail before one succeeds. */
const FAILURES = 3;

async function run(): Promise<FailingChange> {
  let onChanges: OnChanges | undefined;
  const meanwhile = Promise.withResolvers<Readiness>();
  const inForce = Promise.withResolvers<void>();
  let retries = 0;
  const agent = bareAgent({
    snapshot: (told) => {
      onChanges = told;
    },
    log: pino(
      { level: 'debug' },
      {
        write: (line) => {
          const { msg, changes } = JSON.parse(line);
          if (msg.endsWith('podfence tries again')) {
            retries++;
            meanwhile.resolve(agent.readiness());
          }
          if (msg === 'in force' && changes === 1) setImmediate(inForce.resolve);
        },
      },
    ),
  });
  await agent.start();
  const before = agent.readiness();
  let attempts = 0;
  const failing: TakeChanges = () => {
    if (++attempts <= FAILURES) throw new Error('the source is not there');
    return [{ type: 'set', record: { kind: 'Namespace', name: 'a', labels: {} } }];
  };
  onChanges?.(failing, performance.now());
  // A failure that several changes share is tried again once.
  for (let i = 0; i < 3; i++) onChanges?.(() => [], performance.now());
  const failed = await meanwhile.promise;
  await inForce.promise;
  const after = agent.readiness();
  await agent.stop();
  return { before, meanwhile: failed, after, retries };
}

process.send?.(await run());

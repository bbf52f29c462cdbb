/**
 * A process that runs an agent in the current network namespace. Its source reports two changes
 * while the first policies are brought into force. It sends the outcome, and ends. With the
 * argument `stop` the agent is stopped while the changes are brought into force.
 */
import pino from 'pino';
import type { AgentProcess } from '../../src/agent/agent-process.ts';
import type { Readiness } from '../../src/telemetry/agent-view.ts';
import { formatListenAddress } from '../../src/telemetry/listen-address.ts';
import { bareAgent } from './bare-agent.ts';

/** How long before it was passed on the earlier change was received, in ms. */
export const WAITED = 60_000;

export interface Outcome {
  readonly readiness: Readiness;
  /** Answers of /metrics and /status; undefined if the agent was stopped. */
  readonly metrics?: string;
  readonly status?: string;
}

async function run(stops: boolean): Promise<Outcome> {
  const started = Promise.withResolvers<void>();
  let inForce = 0;
  let hasChanged = false;
  const agent: AgentProcess = bareAgent({
    snapshot: (onChanges) => {
      // The changes come once, however often the agent asks.
      if (hasChanged) return;
      hasChanged = true;
      // The agent asks the kernel many things before it is that far.
      setImmediate(() => {
        for (const [name, age] of [
          ['a', WAITED],
          ['b', 0],
        ] as const) {
          const record = { kind: 'Namespace', name, labels: {} } as const;
          onChanges(() => [{ type: 'set', record }], performance.now() - age);
        }
      });
    },
    log: pino(
      { level: 'debug' },
      {
        write: (line) => {
          if (JSON.parse(line).msg !== 'in force' || ++inForce < 2 || !stops) return;
          agent.stop().then(started.resolve, started.reject);
        },
      },
    ),
  });
  const url = `http://${formatListenAddress(await agent.start())}`;
  if (stops) {
    await started.promise;
    return { readiness: agent.readiness() };
  }
  const get = async (path: string) => (await fetch(`${url}${path}`)).text();
  const outcome = { readiness: agent.readiness(), metrics: await get('/metrics'), status: await get('/status') };
  await agent.stop();
  return outcome;
}

if (process.argv[1] === import.meta.filename) process.send?.(await run(process.argv[2] === 'stop'));

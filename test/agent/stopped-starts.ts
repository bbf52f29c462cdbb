/**
 * A process that starts the agent again and again in the current network namespace, with its own
 * arguments as flags. SIGTERM ends each start one step, or one run of a tool, later than the one
 * before, until a start completes. It sends the outcome of each. With `once` as its first argument
 * it starts the agent once, to the end; with `steps` it ends it at the steps only.
 */
import { spawnSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Command } from 'commander';
import type { StartStep } from '../../src/agent/start-steps.ts';
import { register } from '../../src/commands/agent/agent.ts';

export interface StoppedStart {
  /**
   * The step or the command line at which SIGTERM was sent; `in force` for the start that
   * completed.
   */
  readonly at: string;
  /** Time from SIGTERM to the end, in ms. */
  readonly took: number;
  /** Rules and sets of podfence before and after it. */
  readonly before: string;
  readonly after: string;
}

export type What = 'once' | 'steps' | 'everywhere';

const [what, ...flags] = process.argv.slice(2) as [What, ...string[]];
const CHANNELS = ['podfence:start-step', ...(what === 'steps' ? [] : ['podfence:tool'])];
/** The first step after everything is in force. */
const LAST = 'bringing early changes into force' satisfies StartStep;
/** More than there are steps. */
const MOST = 200;

async function startAndStop(at: number): Promise<StoppedStart> {
  const before = rules();
  let count = 0;
  let reached = '';
  let stoppedAt = Number.NaN;
  const watch = (message: unknown) => {
    if (reached !== '' || (count++ < at && message !== LAST)) return;
    reached = message === LAST ? 'in force' : String(message);
    stoppedAt = performance.now();
    process.kill(process.pid, 'SIGTERM');
  };
  for (const channel of CHANNELS) subscribe(channel, watch);
  const program = new Command();
  register(program);
  await program.parseAsync(['agent', ...flags], { from: 'user' });
  const took = performance.now() - stoppedAt;
  for (const channel of CHANNELS) unsubscribe(channel, watch);
  return { at: reached, took, before, after: rules() };
}

/**
 * Returns the lines that name podfence, without times that run, and without the sign for the next
 * agent.
 */
function rules(): string {
  const commands = ['iptables-save', 'ip6tables-save', 'ipset save', 'nft list ruleset'];
  return commands
    .flatMap((command) => spawnSync('sh', ['-c', command], { encoding: 'utf8' }).stdout.split('\n'))
    .filter(
      (line) => /podfence/i.test(line) && !line.includes('comment "judging"') && !line.includes('comment "stopped"'),
    )
    .map((line) => line.replace(/^create (\S+) .*/, 'create $1').replaceAll(/\[\d+:\d+\]/g, ''))
    .join('\n');
}

const stopped: StoppedStart[] = [];
// The agent adds its handlers at each start.
process.setMaxListeners(0);
do stopped.push(await startAndStop(what === 'once' ? MOST : stopped.length));
while (stopped.at(-1)?.at !== 'in force' && stopped.length < MOST);
process.send?.(stopped);

/** `podfence flows`: what the agent of a node allows and denies, flow by flow. */

import { once } from 'node:events';
import type { Command } from 'commander';
import { jsonText } from '../../cluster/printable.ts';
import type { FlowLine, LeftOut } from '../../flows/flow.ts';
import { DEFAULT_LAST, readFlowQuery } from '../../flows/flow-query.ts';
import { askAgent, DEFAULT_AGENT } from '../shared/agent-request.ts';
import { answerOf } from '../shared/bounded-answer.ts';
import { ExitCode, InputError, UnavailableError } from '../shared/exit-code.ts';
import { FlowListing } from '../shared/flow-listing.ts';
import { tell } from '../shared/tell.ts';
import { eventsOf, type ServerEvent } from './event-stream.ts';

const HELP = `
One line per flow: repeats by the same client to the same port raise the line's count. An agent
reports the flows that it judges, those of isolated pods of its node, with the names at that time.
Flows that come faster than the agent notes them are left out, and counted. BY names the policies:
for an allowed flow those that allow it, with the rule, counted from 1 as in podfence explain; for a
denied flow those that isolate the pod. DIRECTION is the direction that decides, or - if the pods
are not isolated.

With --json, one line per flow, and again (with the same id) when its count has grown or one of its
pods got its name:
  {"id":17,"first":"…Z","last":"…Z","count":3,"verdict":"deny","direction":"ingress","reason":"ingress-denied","protocol":"TCP",
   "port":5432,"from":{"kind":"pod","namespace":"shop","name":"web-1","address":"10.0.0.7","node":"node-1"},"to":{…},
   "policies":[{"direction":"ingress","namespace":"shop","name":"db","rule":null,"field":null}],"sourcePort":40112}
An end is of kind pod, node (with name) or address. For an allowed flow, policies have the rule and
its field: 1, "spec.ingress[0]". Standard error reports what is left out.

Exit code: 0, after Ctrl-C too, 2 for wrong arguments, 3 if no agent answers or the agent ends.

Examples:
  podfence flows --verdict deny
  podfence flows --follow --pod shop/db-0 --port 5432`;

const OVER = 'the agent, or the connection to it, has ended';

interface Flags {
  readonly agent: string;
  readonly follow?: true;
  readonly json?: true;
  readonly verdict?: string;
  readonly pod?: string;
  readonly port?: string;
  readonly policy?: string;
  readonly last: string;
}

export function register(program: Command): void {
  program
    .command('flows')
    .description('Show the flows that a running agent has allowed and denied last.')
    .option('--agent <url>', "the agent's --query-address", DEFAULT_AGENT)
    .option('-f, --follow', 'go on with new flows, until Ctrl-C')
    .option('--verdict <verdict>', 'only these: allow, deny or would_deny')
    .option('--pod <namespace/name>', 'only flows from or to this pod')
    .option('--port <port>', 'only flows to this port: 5432, or 53/udp')
    .option('--policy <namespace/name>', 'only flows that this policy allowed or denied')
    .option('--last <lines>', 'how many earlier flows to show', String(DEFAULT_LAST))
    .option('--json', 'one line of JSON per flow, and nothing else, on standard output')
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => {
      process.exitCode = await flows(flags);
    });
}

/** @returns the exit code. */
async function flows(flags: Flags): Promise<number> {
  const query = queryOf(flags);
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  process.once('SIGTERM', () => interrupted.abort());
  const print = flags.json ? printJson : tablePrinter();
  let seen = 0;
  try {
    const { body } = await askAgent(flags.agent, '/flows', query, interrupted.signal);
    for await (const events of eventsOf(body ?? new ReadableStream<Uint8Array>())) {
      const lines = events.filter(({ type }) => type === 'flow').map(({ data }) => answerOf(data) as FlowLine);
      seen += lines.length;
      // Wait for a slow reader of the output. Meanwhile the agent leaves out what it has no room
      // for.
      if (lines.length > 0 && !print(lines)) await once(process.stdout, 'drain', { signal: interrupted.signal });
      for (const words of events.flatMap(leftOut)) tell(`${words}\n`);
    }
  } catch (error) {
    if (interrupted.signal.aborted) return ExitCode.ok;
    // fetch throws a TypeError when the connection breaks.
    throw error instanceof TypeError ? new UnavailableError(OVER) : error;
  }
  if (flags.follow) throw new UnavailableError(OVER);
  if (seen === 0) tell('The agent has seen no such flow.\n');
  return ExitCode.ok;
}

function queryOf(flags: Flags): URLSearchParams {
  const words = ['verdict', 'pod', 'port', 'policy', 'last'] as const;
  const query = new URLSearchParams({ follow: flags.follow ? 'yes' : 'no' });
  for (const word of words) if (flags[word] !== undefined) query.set(word, flags[word]);
  const { mistakes } = readFlowQuery(query);
  if (mistakes.length > 0) throw new InputError(mistakes.map((mistake) => `--${mistake}`).join('\n'));
  return query;
}

function tablePrinter(): (lines: readonly FlowLine[]) => boolean {
  const table = new FlowListing(process.stdout);
  return (lines) => table.add(lines);
}

function printJson(lines: readonly FlowLine[]): boolean {
  return process.stdout.write(lines.map((line) => `${jsonText(line)}\n`).join(''));
}

function leftOut({ type, data }: ServerEvent): string[] {
  if (type !== 'left-out') return [];
  const { earlier, flood, slow } = answerOf(data) as LeftOut;
  const said = [
    [earlier, 'earlier flows are not shown; --last shows more'],
    [flood, 'more events are not shown: they came faster than the agent notes them'],
    [slow, 'more flows are not shown: they came faster than they were read'],
  ] as const;
  return said.flatMap(([count, words]) => (count > 0 ? `${count.toLocaleString('en')} ${words}.` : []));
}

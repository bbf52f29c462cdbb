/** `podfence explain`: why a flow is allowed or denied, and what would allow it. */

import { type Command, Option } from 'commander';
import { jsonText, printableValue } from '../../cluster/printable.ts';
import { Explainer } from '../../explain/explain.ts';
import type { Answer } from '../../explain/explanation.ts';
import { FlowError } from '../../explain/flow-error.ts';
import { showsColour } from '../../lab/paint.ts';
import type { ExplainQuery } from '../../telemetry/explain-route.ts';
import { askAgent } from '../shared/agent-request.ts';
import { boundedJson } from '../shared/bounded-answer.ts';
import {
  type ClusterInput,
  type ClusterInputFlags,
  readClusterInput,
  withClusterInput,
} from '../shared/cluster-input.ts';
import { ExitCode, InputError, UnavailableError } from '../shared/exit-code.ts';
import { type AgentQuestion, withService } from './agent-question.ts';
import { renderAnswer } from './report.ts';

const HELP = `
The verdict comes from the compiled rule table and the filter, which judge the first packet of such
a flow, each direction by itself: egress where the source runs, ingress where the destination runs.
Then explain finds the policies and rules behind it.

FROM and TO are NAMESPACE/POD, the name of a pod that no other pod has, or an IP address. TO may
also be NAMESPACE/SERVICE or a Service's address; then every backend is explained. If a Pod and a
Service have the same name, the one that has the port is explained, and the answer names the other.
pod/NAMESPACE/POD and service/NAMESPACE/SERVICE say which one is meant. A port is 5432, 53/udp, http
(a port's name) or icmp.

Manifests seldom give the addresses of pods. Missing ones are made up from --pod-range, and a note
says where an ipBlock decides by such an address.

An agent (--agent) judges by what is in force on its node. It does not know Services, so give
--kubeconfig or --manifests too if the question is about one.

With --json, one document:
  {"from":"shop/web-1","to":"service/shop/db","protocol":"TCP","port":5432,"verdict":"allow|deny|would_deny|mixed","ways":[
    {"from":{"kind":"pod","namespace":"shop","name":"web-1","address":"10.0.0.7","node":"node-1"},"to":{…},"port":5432,
     "egress":"allow","ingress":"deny","verdict":"deny","reason":"ingress-denied","alike":["shop/db-1"],
     "sides":{"egress":{…},"ingress":{"verdict":"deny","node":"node-2","isolated":true,"summary":"…",
       "isolatedBy":[{"policy":"shop/db","file":"db.yaml","line":1}],
       "allowedBy":[{"policy":"shop/db","rule":1,"field":"spec.ingress[0]","file":"db.yaml","line":9}],
       "nearMisses":[{"policy":"shop/db","rule":1,…,"differences":["labels"],"sentence":"policy shop/db rule 1 would allow …"}]}},
     "notes":["…"],"suggestion":{"yaml":"…","notes":["…"]}}]}
would_deny: only audited policies deny the flow, and it passes. A way is one backend in one address
family; the same holds for the pods in "alike". An end is of kind pod, node (with name) or address.
Rules count from 1. The port of ICMP is -1.

--batch reads one question per line, from standard input or a file, and answers them in order, with
a verdict for each direction:
  {"from":"shop/web-1","to":"shop/db-0","port":5432,"protocol":"TCP"}
  {"from":"shop/web-1","to":"shop/db-0","port":5432,"protocol":"TCP","egress":"allow","ingress":"deny","verdict":"deny","reason":"ingress-denied"}
A Service is denied if any backend is. The answer to a line that is not a question is
{"line":3,"error":"…"}.

Exit code: 0 whatever the verdict, 2 if arguments, manifests or lines had errors (the rest is still
answered), 3 if the cluster or the agent does not answer.

Examples:
  podfence explain --from shop/web-1 --to shop/db-0 --port 5432 --manifests k8s/
  podfence explain --from shop/web-1 --to shop/db-0 --port 5432 --agent localhost:9465
  podfence explain --from shop/web-1 --to shop/db --port 5432 --agent localhost:9465 --kubeconfig ~/.kube/config
  podfence explain --batch flows.jsonl --manifests k8s/ | grep '"deny"'`;

/** How long to wait for an agent's answer, in ms. The agent itself gives up earlier. */
const PATIENCE = 45_000;

interface Flags extends ClusterInputFlags {
  readonly from?: string;
  readonly to?: string;
  readonly port?: string;
  readonly agent?: string;
  /** `true` if the flag names no file. */
  readonly batch?: string | true;
  readonly json?: true;
}

export function register(program: Command): void {
  const command = program
    .command('explain')
    .description('Say why a flow is allowed or denied, by which policies, and what would allow it.')
    .option('--from <pod>', 'who opens the connection: NAMESPACE/POD or an address')
    .option('--to <pod>', 'the destination: NAMESPACE/POD, NAMESPACE/SERVICE or an address')
    .option('--port <port>', 'destination port: 5432, 53/udp, http, icmp');
  withClusterInput(command)
    .addOption(new Option('--agent <url>', 'ask a running agent, at its --query-address').conflicts('batch'))
    .addOption(
      new Option('--batch [file]', 'answer lines of JSON (default: standard input)').conflicts(['from', 'to', 'port']),
    )
    .option('--json', 'JSON, and nothing else, on standard output')
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => {
      process.exitCode = await explain(flags);
    });
}

/** @returns the exit code. */
async function explain(flags: Flags): Promise<number> {
  if (flags.batch !== undefined) return await batch(flags, flags.batch === true ? '-' : flags.batch);
  const question = questionOf(flags);
  const { agent, manifests, kubeconfig, context } = flags;
  const isGiven = (manifests ?? kubeconfig ?? context) !== undefined;
  const input = agent === undefined || isGiven ? await readClusterInput(flags) : undefined;
  if (agent !== undefined) print(await agentAnswer(agent, input ? withService(question, input) : { question }), flags);
  else if (input !== undefined) print(answer(input, question), flags);
  return input?.hasErrors ? ExitCode.badInput : ExitCode.ok;
}

async function agentAnswer(agent: string, { question, note }: AgentQuestion): Promise<Answer> {
  const signal = AbortSignal.timeout(PATIENCE);
  let answer: Answer;
  try {
    const response = await askAgent(agent, '/explain', new URLSearchParams({ ...question }), signal);
    answer = (await boundedJson(response)) as Answer;
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new UnavailableError(`the agent gave no answer within ${PATIENCE / 1000} s`);
  }
  return note === undefined ? answer : { ...answer, note };
}

async function batch(flags: Flags, file: string): Promise<number> {
  if (file === '-' && flags.manifests?.includes('-')) {
    throw new InputError('--batch and --manifests -: only one of them can read standard input; give --batch FILE');
  }
  const { explainBatch } = await import('./batch.ts');
  return await explainBatch(await readClusterInput(flags), file);
}

function questionOf({ from, to, port }: Flags): ExplainQuery {
  if (from !== undefined && to !== undefined && port !== undefined) return { from, to, port };
  const missing = Object.entries({ from, to, port }).flatMap(([flag, value]) =>
    value === undefined ? `--${flag}` : [],
  );
  throw new InputError(
    `${missing.join(', ')} missing: --from NAMESPACE/POD --to NAMESPACE/POD --port 5432, or --batch`,
  );
}

/** @throws InputError for unknown names and ports */
function answer(input: ClusterInput, { from, to, port }: ExplainQuery): Answer {
  try {
    return new Explainer(input).answer(from, to, port);
  } catch (error) {
    throw error instanceof FlowError ? new InputError(error.message) : error;
  }
}

function print(answer: Answer, { json }: Flags): void {
  const { stdout } = process;
  stdout.write(
    json
      ? `${jsonText(answer)}\n`
      : renderAnswer(printableValue(answer), { width: stdout.columns, colour: showsColour(stdout) }),
  );
}

/** `podfence doctor`: can this node, or this cluster, enforce? */
import { hostname, release } from 'node:os';
import { type Command, Option } from 'commander';
import { system } from '../../dataplane/steering/run.ts';
import { ageOfFindings } from '../../doctor/agents.ts';
import { clusterFindings } from '../../doctor/cluster.ts';
import { type Finding, mergeNodes, type NodesFinding } from '../../doctor/finding.ts';
import { nodeFindings } from '../../doctor/node.ts';
import { showsColour } from '../../lab/paint.ts';
import { wholeNode } from '../../machine/node-facts.ts';
import { ExitCode, InputError } from '../shared/exit-code.ts';
import { requireRootOnLinux } from '../shared/machine.ts';
import { ClusterApi } from './cluster-api.ts';
import { readCluster } from './cluster-facts.ts';
import { reportText } from './report.ts';
import { examineByPods } from './run-pod.ts';

interface DoctorFlags {
  readonly node?: true;
  readonly cluster?: true;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly runPod?: true;
  readonly image?: string;
  readonly json?: true;
  readonly nodeRun?: string;
  readonly runtime?: string;
}

const HELP = `
As root on Linux, doctor examines this node, in the network namespace that it runs in. With
--kubeconfig, --context or --cluster, or without root, it examines the cluster: it reads nodes, pods
and policies, and asks every agent through the API server. Only on the node itself can it try what
the kernel can do: with --run-pod a short-lived pod from podfence's image (--image) examines each
node without an agent. Doctor changes nothing else.

Each finding has a code that stays the same, and says how sure it is (certain: seen or tried;
likely: concluded; possible: concluded from a sign that often misleads) and what to do.

Exit code: 0 if nothing keeps policies from being enforced (warnings do not count), 1 if a problem
was found, 2 for wrong arguments, 3 if nothing could be examined, or if no pod of --run-pod could
examine its node.

With --json, one document:
  {"title":"node a, Linux 6.18.1","problems":1,"warnings":0,"findings":[
    {"code":"PD201","check":"bridge-filter","severity":"ok|info|warning|problem","certainty":"certain|likely|possible",
     "message":"…","advice":"…","nodes":["a"]}]}

Examples:
  sudo podfence doctor
  podfence doctor --kubeconfig ~/.kube/config --run-pod --image podfence:0.1.0`;

export function register(program: Command): void {
  program
    .command('doctor')
    .description('Say whether this node or cluster can enforce, and what to do if it cannot.')
    .option('--node', 'examine this node')
    .option('--cluster', 'examine the cluster of the default kubeconfig')
    .option('--kubeconfig <file>', 'examine the cluster of this kubeconfig')
    .option('--context <name>', 'context of the kubeconfig (default: its current one)')
    .option('--run-pod', 'run a short-lived pod on each node without an agent; needs --image')
    .option('--image <name>', "podfence's image, for --run-pod")
    .option('--json', 'print one JSON document instead of the report')
    // For the pods of --run-pod: where the node's /run is, and the container runtime that the Node
    // object names.
    .addOption(new Option('--node-run <folder>').hideHelp())
    .addOption(new Option('--runtime <version>').hideHelp())
    .addHelpText('after', HELP)
    .action(async (flags: DoctorFlags) => {
      checkFlags(flags);
      if (looksAtCluster(flags)) await lookAtCluster(flags);
      else await lookAtNode(flags);
    });
}

function checkFlags({ node, cluster, kubeconfig, context, runPod, image }: DoctorFlags): void {
  if (node && (cluster ?? kubeconfig ?? context ?? runPod) !== undefined) {
    throw new InputError(
      '--node examines this node, and --cluster, --kubeconfig, --context and --run-pod a cluster: give one or the other',
    );
  }
  if (runPod && image === undefined) {
    throw new InputError(
      "--run-pod: name podfence's image so that the nodes can pull it: --image registry.example.com/podfence:0.1.0",
    );
  }
  if (image !== undefined && !runPod) throw new InputError('--image has no use without --run-pod');
}

function looksAtCluster({ node, cluster, kubeconfig, context, runPod }: DoctorFlags): boolean {
  if (node) return false;
  if ((cluster ?? kubeconfig ?? context ?? runPod) !== undefined) return true;
  return process.platform !== 'linux' || process.getuid?.() !== 0;
}

async function lookAtNode({ nodeRun, runtime, json }: DoctorFlags): Promise<void> {
  requireRootOnLinux('doctor --node', "it tries what the kernel's packet filter can do");
  const facts = await wholeNode({ system: system(), run: nodeRun });
  const known = runtime === undefined ? facts : { ...facts, runtime: { ...facts.runtime, runtime } };
  const name = hostname();
  print(`node ${name}, Linux ${release()}`, mergeNodes([[name, nodeFindings(known)]]), 1, json);
}

async function lookAtCluster({ kubeconfig, context, runPod, image, json }: DoctorFlags): Promise<void> {
  const stopping = new AbortController();
  const interrupted = stopOnSignals(stopping);
  using api = new ClusterApi(
    { ...(kubeconfig !== undefined && { kubeconfig }), ...(context !== undefined && { context }) },
    stopping.signal,
  );
  try {
    const { facts, unseen } = await readCluster(api, stopping.signal);
    const examined =
      runPod && image !== undefined && unseen.length > 0
        ? await examineByPods({ api, image, nodes: unseen, signal: stopping.signal, say })
        : undefined;
    const findings = clusterFindings({ ...facts, ...(examined !== undefined && { examined }) });
    const { length } = facts.nodes;
    const title = [
      `cluster ${api.server}`,
      `${length} ${length === 1 ? 'node' : 'nodes'}`,
      ageOfFindings(facts.agents),
    ];
    print(title.filter((part) => part !== undefined).join(', '), findings, length, json);
    if (process.exitCode === ExitCode.ok && examined !== undefined && isBlind(examined)) {
      process.exitCode = ExitCode.unavailable;
    }
  } catch (error) {
    if (interrupted.code === undefined) throw error;
    process.exitCode = interrupted.code;
  }
}

/** Whether none of doctor's pods could examine its node. */
function isBlind(examined: ReadonlyMap<string, readonly Finding[]>): boolean {
  return [...examined.values()].flat().every(({ check }) => check === 'not-looked');
}

/** The first signal stops the run, which removes what it created; a second one ends the process. */
function stopOnSignals(stopping: AbortController): { code: number | undefined } {
  const interrupted: { code: number | undefined } = { code: undefined };
  const stop = (code: number) => () => {
    interrupted.code = code;
    stopping.abort(new Error('interrupted'));
  };
  process.once('SIGINT', stop(ExitCode.interrupted));
  process.once('SIGTERM', stop(ExitCode.terminated));
  return interrupted;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function print(title: string, findings: readonly NodesFinding[], nodes: number, json: boolean | undefined): void {
  const count = (severity: string) => findings.filter((each) => each.severity === severity).length;
  const problems = count('problem');
  const text = json
    ? JSON.stringify({ title, problems, warnings: count('warning'), findings }, undefined, 2)
    : reportText(title, findings, {
        width: Number(process.env.COLUMNS) || process.stdout.columns || DEFAULT_WIDTH,
        colour: showsColour(process.stdout),
        nodes,
      });
  process.stdout.write(`${text}\n`);
  process.exitCode = problems > 0 ? ExitCode.differs : ExitCode.ok;
}

const DEFAULT_WIDTH = 100;

/** `podfence canary`: proves that a cluster enforces policies, whatever software does it. */
import { randomInt } from 'node:crypto';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { Canary } from '../../canary/canary.ts';
import { CanaryNamespace } from '../../canary/canary-namespace.ts';
import { type Conclusion, conclusionOf } from '../../canary/conclusion.ts';
import { CanaryError } from '../../canary/error.ts';
import type { CanaryResult } from '../../canary/result.ts';
import { ApiConnection } from '../../kube/api-connection.ts';
import { systemClock } from '../../kube/clock.ts';
import { KubeConfigError, loadKubeConfig } from '../../kube/kubeconfig.ts';
import { showsColour } from '../../lab/paint.ts';
import { collect } from '../shared/cluster-input.ts';
import { ExitCode, InputError, UnavailableError } from '../shared/exit-code.ts';
import { CanaryProgressLines } from './progress.ts';
import { canaryJson, canaryText } from './report.ts';

const HELP = `
Creates a namespace with a server, a client, a stranger and a control pair on two nodes (on one if
there is only one). They connect; policies isolate the server and the clients; a new pod starts; the
policies are deleted. A denial counts only if the same pair connected before the isolation and again
after it, and the control pair stayed open throughout; otherwise it is "not proved". Only
connections count, over TCP and UDP, and over IPv4 and IPv6 if pods have both; the software that
enforces is not asked. The namespace is removed, after Ctrl-C too.

AFTER and OPEN AGAIN: from the API server's answer to creating or deleting a policy until a new
connection showed its effect. OPEN CONNECTIONS: what became of a connection that was open before the
policy, first one that the policy denies, then one that it allows. It is only reported, because the
API does not say what should happen.

With --json, one object, durations in ms: {"outcome":"proved"|"wrong"|"not proved","nodes":[…],"families":[…],"rounds":1,
"checks":[{"direction","place","protocol","family","denied":{"from","to","outcome",…},"allowed":{…},"openConnections":{"denied":{…},"allowed":{…}}}],
"newPods":[{"place","outcome","connections",…}]}, or {"outcome":"not proved","reason":"…"}; after --timeout both.

Exit code: 0 if everything is proved, 1 if something denied came through or something allowed was
refused or partly lost, 2 for wrong arguments, 3 if something could not be proved.

Examples:
  podfence canary --image registry.example/podfence:0.1.0
  podfence canary --image podfence:dev --image-pull-policy Never --json`;

/** Longest time for pods to start, in ms. A shorter --timeout shortens it. */
const START_LIMIT = 120_000;
/** How long pods outlive the run's limit if nothing removes them, in ms. */
const SPARE = 60_000;

interface Flags {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly image: string;
  readonly imagePullPolicy: string;
  readonly node?: readonly string[];
  readonly within: number;
  readonly timeout: number;
  readonly json?: true;
}

export function register(program: Command): void {
  program
    .command('canary')
    .description('Prove on a cluster that NetworkPolicies are enforced, whatever software does it.')
    .option('--kubeconfig <path>', '(default: $KUBECONFIG, the service account of a pod, ~/.kube/config)')
    .option('--context <name>', 'context of the kubeconfig (default: its current one)')
    .option('--image <name>', "podfence's image, of this version", `podfence:${program.version()}`)
    .addOption(
      new Option('--image-pull-policy <policy>', 'Never if the image is on the nodes and nowhere else')
        .choices(['Always', 'IfNotPresent', 'Never'])
        .default('IfNotPresent'),
    )
    .option(
      '--node <name>',
      'run on this node; twice for two (default: the first two by name that accept pods)',
      collect,
    )
    .option('--within <seconds>', 'how long a policy may take to come into force, and to end', wholeSeconds, 30)
    .option('--timeout <seconds>', 'how long the whole run may take, without the removal', wholeSeconds, 300)
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => {
      process.exitCode = await canary(flags);
    });
}

/** @returns the exit code. */
async function canary(flags: Flags): Promise<number> {
  if ((flags.node?.length ?? 0) > 2) throw new InputError('--node: two nodes at most');
  const connection = connect(flags);
  const progress = new CanaryProgressLines();
  const namespace = new CanaryNamespace(connection, systemClock, `podfence-canary-${suffix()}`);
  const signals = new Signals(() => progress.say('interrupted; once more skips the removal'));
  const overdue = AbortSignal.timeout(flags.timeout * 1000);
  const run = new Canary(
    namespace,
    {
      image: flags.image,
      pullPolicy: flags.imagePullPolicy,
      nodes: flags.node ?? [],
      within: flags.within * 1000,
      startLimit: Math.min(START_LIMIT, flags.timeout * 1000),
      limit: flags.timeout * 1000,
      podLifetime: flags.timeout * 1000 + SPARE,
    },
    systemClock,
    AbortSignal.any([signals.first, overdue]),
    (step) => progress.show(step),
  );
  let result: CanaryResult | undefined;
  let failure: unknown;
  try {
    result = await run.run((nodes) => progress.say(`namespace ${namespace.name}, on ${nodes.join(' and ')}`));
  } catch (error) {
    failure = overdue.aborted && !signals.first.aborted ? overdueError(flags.timeout) : error;
  }
  // Before the removal, which takes time and may be interrupted: the result must not be lost with
  // it.
  const isOverdue = overdue.aborted && signals.exitCode === undefined;
  const seen = result ?? (isOverdue ? run.soFar() : undefined);
  if (seen !== undefined) {
    progress.clear();
    report(seen, flags.json === true, failure instanceof CanaryError ? failure.message : undefined);
  }
  await remove(namespace, signals.second, progress);
  signals.release();
  connection.close();
  if (signals.exitCode !== undefined) return signals.exitCode;
  if (result !== undefined) return CODES[conclusionOf(result)];
  if (!(failure instanceof CanaryError)) throw failure;
  if (failure.blame === 'input') throw new InputError(failure.message);
  if (flags.json && seen === undefined) printJson({ outcome: 'not proved', reason: failure.message });
  throw new UnavailableError(`nothing is proved: ${failure.message}`);
}

const CODES: Readonly<Record<Conclusion, number>> = {
  proved: ExitCode.ok,
  wrong: ExitCode.differs,
  'not proved': ExitCode.unavailable,
};

/** @param reason why the run did not finish */
function report(result: CanaryResult, json: boolean, reason: string | undefined): void {
  if (json) printJson({ ...canaryJson(result), ...(reason !== undefined && { reason }) });
  else process.stdout.write(`\n${canaryText(result, showsColour(process.stdout))}`);
}

function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Removes the namespace. Reports a failure, which does not change the result. */
async function remove(namespace: CanaryNamespace, signal: AbortSignal, progress: CanaryProgressLines): Promise<void> {
  progress.say('removing the namespace');
  try {
    await namespace.remove(signal);
    progress.clear();
  } catch (error) {
    if (!(error instanceof CanaryError)) throw error;
    progress.say(error.message);
  }
}

function connect({ kubeconfig, context }: Flags): ApiConnection {
  const choice = { ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }) };
  try {
    return new ApiConnection(() => loadKubeConfig(choice));
  } catch (error) {
    if (error instanceof KubeConfigError) throw new InputError(error.message);
    throw error;
  }
}

/** Ctrl-C and SIGTERM: the first ends the run, the second the removal after it. */
class Signals {
  readonly #first = new AbortController();
  readonly #second = new AbortController();
  readonly #onFirst: () => void;
  readonly #take = (name: NodeJS.Signals) => this.#onSignal(name);
  exitCode: number | undefined;

  constructor(onFirst: () => void) {
    this.#onFirst = onFirst;
    process.on('SIGINT', this.#take);
    process.on('SIGTERM', this.#take);
  }

  get first(): AbortSignal {
    return this.#first.signal;
  }

  get second(): AbortSignal {
    return this.#second.signal;
  }

  release(): void {
    process.off('SIGINT', this.#take);
    process.off('SIGTERM', this.#take);
  }

  #onSignal(name: NodeJS.Signals): void {
    if (this.#first.signal.aborted) this.#second.abort();
    this.exitCode = name === 'SIGINT' ? ExitCode.interrupted : ExitCode.terminated;
    if (!this.#first.signal.aborted) this.#onFirst();
    this.#first.abort();
  }
}

function overdueError(seconds: number): CanaryError {
  return new CanaryError(`it did not finish within ${seconds} s (--timeout)`);
}

function wholeSeconds(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 1 && value <= 3600)) throw new InvalidArgumentError('It must be a whole number from 1 to 3600.');
  return value;
}

/** Returns letters and digits that form no words, as in Kubernetes' generated names. */
function suffix(): string {
  const letters = 'bcdfghjklmnpqrstvwxz2456789';
  return Array.from({ length: 6 }, () => letters[randomInt(letters.length)]).join('');
}

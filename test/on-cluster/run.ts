/** `npm run test:cluster -- [FILE …] [FLAGS]`: tests podfence on a real cluster. See HELP. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { totalLine } from '../../setup/test.mjs';
import { Cluster, inPath, PROJECT } from './cluster.ts';
import { collect, collectClusterLogs } from './collected.ts';
import { runUpstreamTests } from './e2e.ts';
import { leaveNothing, mustBeFree } from './leave-nothing.ts';
import { isUp, MachineCluster, obstacle, PLAIN, VARIANTS, type Variant } from './machine-cluster.ts';
import { keepResults, type Results } from './results.ts';
import { output, Running, say, stopRunning } from './shell.ts';
import type { ClusterTarget } from './target.ts';

const HELP = `usage: npm run test:cluster -- [FILE …] [FLAGS]

Runs podfence on a real cluster: installs it as the documents say, tries every change and fault, and removes it.
FILE names tests by a part of their path; without one all of the short suite runs (20 minutes at most).

Which cluster:
  KUBECONFIG           the cluster that this variable names: the tests install podfence there and create namespaces
                       (podfence-test-…, try and those of examples/), which must not exist yet. Without it a cluster is
                       brought up on this machine, by ../shared/cluster, and taken down again.
  --image NAME         podfence's image, which the nodes have or can pull                       (podfence:dev)
  --load COMMAND       loads the image into the nodes, for example
                       'kind load docker-image podfence:dev --name podfence'
  --on-node COMMAND    runs a command on a node, for example 'docker exec {node}'; without it tests that read a node's
                       rules, or kill processes there, are skipped by name

More runs, on a cluster of this machine:
  --e2e                upstream's NetworkPolicy tests instead of the short suite (40 minutes)
  --matrix             the short suite on each of: ${VARIANTS.map(({ name }) => name).join(', ')}
  --variant NAME       the short suite on one of them
  --keep               leaves the cluster up afterwards

Logs of failures are in .cache/test-cluster; results of --e2e, --matrix and --variant are kept in test/on-cluster/results,
unless FILE names a part of the tests.
`;

class UsageError extends Error {}

interface Wanted {
  readonly files: readonly string[];
  readonly image: string;
  readonly load: string | undefined;
  readonly onNode: string | undefined;
  readonly e2e: boolean;
  readonly keep: boolean;
  readonly variants: readonly Variant[];
  /** Whether the results are saved as a file of the project. */
  readonly isKept: boolean;
  /** Whether all of the short suite runs, once. */
  readonly isShort: boolean;
}

/** How long the whole short suite may take, including everything around it, in minutes. */
const MADE_FOR = 20;

function parse(args: readonly string[]): Wanted | undefined {
  const string = { type: 'string' } as const;
  const boolean = { type: 'boolean', default: false } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { ...boolean, short: 'h' },
      image: string,
      load: string,
      'on-node': string,
      e2e: boolean,
      matrix: boolean,
      variant: string,
      keep: boolean,
    },
  });
  if (values.help) return undefined;
  const named =
    values.variant === undefined ? undefined : [PLAIN, ...VARIANTS].find(({ name }) => name === values.variant);
  if (values.variant !== undefined && named === undefined)
    throw new UsageError(`--variant: there is ${[PLAIN, ...VARIANTS].map(({ name }) => name).join(', ')}`);
  const isKept = values.e2e || values.matrix || named !== undefined;
  return {
    files: positionals,
    image: values.image ?? 'podfence:dev',
    load: values.load,
    onNode: values['on-node'],
    e2e: values.e2e,
    keep: values.keep,
    variants: values.matrix ? VARIANTS : [named ?? PLAIN],
    isKept,
    isShort: !isKept && positionals.length === 0,
  };
}

type Counts = Omit<Results, 'cases'>;
type Folders = Pick<ClusterTarget, 'artifacts' | 'temporary'>;

/** The counts so far; every failure of the run itself counts, too. */
const total: { -readonly [Key in keyof Counts]: Counts[Key] } = { passed: 0, failed: 0, skipped: 0 };

/** Prints and counts a failure of the step, so that the following steps still run. */
async function counted(step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    console.log(error instanceof Error ? error.message : error);
    total.failed++;
  }
}

async function main(): Promise<number> {
  const wanted = parse(process.argv.slice(2));
  if (wanted === undefined) {
    process.stdout.write(HELP);
    return 0;
  }
  const given = process.env.KUBECONFIG;
  if (given !== undefined && (wanted.isKept || wanted.keep))
    throw new UsageError(
      '--e2e, --matrix, --variant and --keep need a cluster of this machine; KUBECONFIG names another',
    );
  const why = given === undefined ? obstacle() : undefined;
  if (why !== undefined) {
    console.log(`Skipped:\n  test:cluster (${why})`);
    total.skipped++;
  } else if (given === undefined && isUp()) {
    console.log(
      'A cluster is up on this machine that this run did not start; nothing was touched.\n' +
        'Take it down (../shared/cluster/down), or name it by KUBECONFIG.',
    );
    total.failed++;
  } else {
    const artifacts = join(PROJECT, '.cache', 'test-cluster');
    rmSync(artifacts, { recursive: true, force: true });
    const temporary = mkdtempSync(join(tmpdir(), 'podfence-cluster-'));
    if (given !== undefined) await counted(() => onGivenCluster(given, wanted, { artifacts, temporary }));
    else
      for (const variant of wanted.variants)
        await onOwnCluster(variant, wanted, { artifacts: join(artifacts, variant.name), temporary });
    rmSync(temporary, { recursive: true, force: true });
  }
  const minutes = performance.now() / 60_000;
  say(`the run took ${minutes.toFixed(1)} minutes`);
  if (wanted.isShort && minutes > MADE_FOR)
    say(`warning: the short suite should take ${MADE_FOR} minutes at most, everything included`);
  console.log(totalLine(total));
  return total.failed > 0 || (total.passed === 0 && why === undefined) ? 1 : 0;
}

async function onGivenCluster(kubeconfig: string, wanted: Wanted, folders: Folders): Promise<void> {
  const kubectl = inPath('kubectl');
  if (kubectl === undefined) throw new Error('there is no kubectl');
  if (wanted.load !== undefined) await output(['sh', '-c', wanted.load], { timeout: 600_000 });
  const target: ClusterTarget = {
    kubeconfig: resolve(kubeconfig.replace(/^~(?=\/)/, homedir())),
    enter: [],
    kubectl,
    onNode: wanted.onNode?.split(/\s+/),
    image: wanted.image,
    scripts: undefined,
    state: undefined,
    env: {},
    ...folders,
  };
  await mustBeFree(new Cluster(target));
  try {
    count(await shortSuite(target, wanted.files));
    if (total.failed > 0) await collect(target, 'at-the-end');
  } finally {
    await leaveNothing(new Cluster(target));
  }
}

async function onOwnCluster(variant: Variant, wanted: Wanted, folders: Folders): Promise<void> {
  if (interrupted) return;
  const cluster = new MachineCluster(variant, folders);
  const { target } = cluster;
  const failedBefore = total.failed;
  await counted(async () => {
    say(`bringing up a cluster on this machine: ${variant.name}`);
    await cluster.start();
    const outcome = wanted.e2e ? await runUpstreamTests(target) : await shortSuite(target, wanted.files);
    // Results of a part of the tests say nothing about the rest.
    if (wanted.isKept && wanted.files.length === 0 && outcome.results !== undefined)
      await keepResults(wanted.e2e ? `e2e-${variant.name}` : variant.name, target, outcome.results);
    count(outcome);
  });
  if (total.failed > failedBefore) {
    await counted(() => collect(target, 'at-the-end'));
    collectClusterLogs(target);
  }
  if (!wanted.keep || interrupted) await counted(() => cluster.stop());
  else await counted(() => leaveNothing(new Cluster(target)));
}

// Ends the running commands, and with them the run, which takes the cluster down.
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    say(interrupted ? 'the run is ending' : `${signal}: the run ends`);
    interrupted = true;
    void stopRunning(signal);
  });
}

interface Outcome {
  readonly results: Results | undefined;
  readonly code: number;
}

/** In minutes. A suite that takes this long hangs, and is killed. */
const HANGS_AFTER = 45;

/** Runs vitest with this suite and passes its lines on as they come. */
async function shortSuite(target: ClusterTarget, files: readonly string[]): Promise<Outcome> {
  const file = join(target.temporary, 'results.json');
  const named = join(target.temporary, 'tests.json');
  const reporters = [`--reporter=${join(PROJECT, 'setup', 'results-reporter.mjs')}`, '--reporter=verbose'];
  const json = ['--reporter=json', `--outputFile.json=${named}`];
  const vitest = join(PROJECT, 'node_modules', '.bin', 'vitest');
  const config = join(PROJECT, 'test', 'on-cluster', 'vitest.config.ts');
  for (const each of [file, named]) rmSync(each, { force: true });
  const tests = new Running([vitest, 'run', '--config', config, '--no-color', ...reporters, ...json, ...files], {
    cwd: PROJECT,
    env: { ...process.env, PODFENCE_TEST_RESULTS: file, PODFENCE_CLUSTER: JSON.stringify(target) },
    echo: true,
  });
  const code = await tests.exit(HANGS_AFTER * 60_000);
  if (code === null && !interrupted) say(`the tests were ended: they hung for more than ${HANGS_AFTER} minutes`);
  return { results: existsSync(file) ? readResults(file, named) : undefined, code: code ?? 1 };
}

function readResults(file: string, named: string): Results {
  const cases = existsSync(named)
    ? (
        JSON.parse(readFileSync(named, 'utf8')) as {
          testResults: { assertionResults: { fullName: string; status: string; duration?: number }[] }[];
        }
      ).testResults.flatMap(({ assertionResults }) =>
        assertionResults.map(({ fullName, status, duration = 0 }) => ({
          name: fullName,
          outcome: status,
          seconds: Math.round(duration / 1000),
        })),
      )
    : [];
  return { ...(JSON.parse(readFileSync(file, 'utf8')) as Omit<Results, 'cases'>), cases };
}

/** A run without results, or with a bad exit code but no failed test, counts as one failure. */
function count({ results, code }: Outcome): void {
  const { passed = 0, failed = 0, skipped = 0 } = results ?? {};
  total.passed += passed;
  total.failed += failed === 0 && (code !== 0 || passed === 0) ? 1 : failed;
  total.skipped += skipped;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof UsageError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS');
  if (!isUsage) throw error;
  process.stderr.write(`test:cluster: ${(error as Error).message}\n\n${HELP}`);
  process.exitCode = 2;
}

/**
 * `npm run test:cluster -- [FILE …] [FLAGS]`: podfence on a real cluster. See HELP.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { totalLine } from '../../setup/test.mjs';
import { PROJECT } from './cluster.ts';
import { runUpstreamTests } from './e2e.ts';
import { isUp, MachineCluster, obstacle, PLAIN, VARIANTS, type Variant } from './machine-cluster.ts';
import { keepResults, type Results } from './results.ts';
import { output, Running, say, stopRunning } from './shell.ts';
import type { ClusterTarget } from './target.ts';

const HELP = `usage: npm run test:cluster -- [FILE …] [FLAGS]

Runs podfence on a real cluster: installs it as the documents say, tries every change and fault, and removes it.
FILE names tests by a part of their path; without one all of the short suite runs (20 minutes at most).

Which cluster:
  KUBECONFIG           the cluster that this variable names: the tests install podfence there and make namespaces of their
                       own. Without it a cluster is brought up on this machine, by ../shared/cluster, and taken down again.
  --image NAME         podfence's image, which the nodes have or can pull                       (podfence:dev)
  --load COMMAND       loads the image into the nodes, for example
                       'kind load docker-image podfence:dev --name podfence'
  --on-node COMMAND    runs a command on a node, for example 'docker exec {node}'; without it tests that look at a node's
                       rules, or end what runs there, are skipped by name

What runs besides, on a cluster of this machine:
  --e2e                upstream's NetworkPolicy tests instead of the short suite (40 minutes)
  --matrix             the short suite on each of: ${VARIANTS.map(({ name }) => name).join(', ')}
  --variant NAME       on one of them
  --keep               leaves the cluster up afterwards

Logs of what failed are in .cache/test-cluster; results of --e2e and --matrix are kept in test/on-cluster/results.
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
  /** The outcome becomes a file of the project. */
  readonly isKept: boolean;
}

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
  return {
    files: positionals,
    image: values.image ?? 'podfence:dev',
    load: values.load,
    onNode: values['on-node'],
    e2e: values.e2e,
    keep: values.keep,
    variants: values.matrix ? VARIANTS : [named ?? PLAIN],
    isKept: values.e2e || values.matrix || named !== undefined,
  };
}

async function main(): Promise<number> {
  const wanted = parse(process.argv.slice(2));
  if (wanted === undefined) {
    process.stdout.write(HELP);
    return 0;
  }
  const artifacts = join(PROJECT, '.cache', 'test-cluster');
  rmSync(artifacts, { recursive: true, force: true });
  mkdirSync(artifacts, { recursive: true });
  const given = process.env.KUBECONFIG;
  if (given !== undefined) return onGivenCluster(given, wanted, artifacts);
  const why = obstacle();
  if (why !== undefined) {
    console.log(`Skipped:\n  test:cluster (${why})`);
    console.log(totalLine({ passed: 0, failed: 0, skipped: 1 }));
    return 0;
  }
  if (isUp()) {
    console.log(
      'A cluster is up on this machine that this run did not start; nothing was touched.\n' +
        'Take it down (../shared/cluster/down), or name it by KUBECONFIG.',
    );
    console.log(totalLine({ passed: 0, failed: 1, skipped: 0 }));
    return 1;
  }
  return onOwnClusters(wanted, artifacts);
}

async function onGivenCluster(kubeconfig: string, wanted: Wanted, artifacts: string): Promise<number> {
  if (wanted.load !== undefined) await output(['sh', '-c', wanted.load], { timeout: 600_000 });
  const target: ClusterTarget = {
    kubeconfig: resolve(kubeconfig.replace(/^~(?=\/)/, homedir())),
    enter: [],
    kubectl: 'kubectl',
    onNode: wanted.onNode?.split(/\s+/),
    image: wanted.image,
    scripts: undefined,
    state: undefined,
    env: {},
    artifacts,
  };
  const { results, code } = await runTests(target, wanted.files);
  console.log(totalLine(counts(results, code)));
  return code;
}

async function onOwnClusters(wanted: Wanted, artifacts: string): Promise<number> {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const variant of wanted.variants) {
    if (interrupted) break;
    const cluster = new MachineCluster(variant, artifacts);
    try {
      say(`a cluster is brought up on this machine: ${variant.name}`);
      await cluster.start();
      const outcome = wanted.e2e
        ? await runUpstreamTests(cluster.target)
        : await runTests(cluster.target, wanted.files);
      if (wanted.isKept && outcome.results !== undefined)
        await keepResults(wanted.e2e ? `e2e-${variant.name}` : variant.name, cluster.target, outcome.results);
      const { passed, failed, skipped } = counts(outcome.results, outcome.code);
      total.passed += passed;
      total.failed += failed;
      total.skipped += skipped;
    } catch (error) {
      console.log(error instanceof Error ? error.message : error);
      total.failed++;
    }
    if (wanted.keep && !interrupted) continue;
    try {
      await cluster.stop();
    } catch (error) {
      console.log(error instanceof Error ? error.message : error);
      total.failed++;
    }
  }
  console.log(totalLine(total));
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}

// What runs ends, and with it the run, which takes the cluster down on its way out.
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    say(interrupted ? 'the run is ending' : `${signal}: the run ends`);
    interrupted = true;
    void stopRunning(signal);
  });
}

/** vitest with this suite, its lines passed on as they come. */
async function runTests(
  target: ClusterTarget,
  files: readonly string[],
): Promise<{ results: Results | undefined; code: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'podfence-cluster-'));
  const file = join(folder, 'results.json');
  const named = join(folder, 'tests.json');
  const reporters = [`--reporter=${join(PROJECT, 'setup', 'results-reporter.mjs')}`, '--reporter=verbose'];
  const json = ['--reporter=json', `--outputFile.json=${named}`];
  const vitest = join(PROJECT, 'node_modules', '.bin', 'vitest');
  const config = join(PROJECT, 'test', 'on-cluster', 'vitest.config.ts');
  try {
    const tests = new Running([vitest, 'run', '--config', config, '--no-color', ...reporters, ...json, ...files], {
      cwd: PROJECT,
      env: { ...process.env, PODFENCE_TEST_RESULTS: file, PODFENCE_CLUSTER: JSON.stringify(target) },
      echo: true,
    });
    const code = (await tests.exit(LIMIT)) ?? 1;
    const results = existsSync(file) ? readResults(file, named) : undefined;
    return { results, code };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** For one run of the short suite, in ms; it is made for 20 minutes with all that is around it. */
const LIMIT = 30 * 60_000;

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

/** A run that ended without a result, or badly without a failed test, counts as one failure. */
function counts(results: Results | undefined, code: number): Omit<Results, 'cases'> {
  const { passed = 0, failed = 0, skipped = 0 } = results ?? {};
  return { passed, failed: failed === 0 && (code !== 0 || passed === 0) ? 1 : failed, skipped };
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof UsageError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS');
  if (!isUsage) throw error;
  process.stderr.write(`test:cluster: ${(error as Error).message}\n\n${HELP}`);
  process.exitCode = 2;
}

/**
 * The truth tables of examples/ on a real cluster. Each application is applied without its
 * policies, with them, and without them again. A denial counts only if the same pair could connect
 * before and after.
 *
 *     const cluster = { kubectl: (args, input) => …, image: 'podfence:dev' };
 *     for (const table of truthTables()) {
 *       const results = await checkOnCluster(table, cluster);
 *       …results.filter(({ outcome }) => outcome !== 'as expected' && outcome !== 'not asked')
 *     }
 *
 * Rows about hosts outside the cluster are asked only if the caller provides such hosts; otherwise
 * they are `not asked`.
 */
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { projectPod } from '../../src/cluster/projection.ts';
import { workloadName } from '../../src/matrix/workload-name.ts';
import type { TruthRow, TruthTable } from './truth-tables.ts';

export interface Cluster {
  /** Runs kubectl and returns its standard output. Throws if it fails. */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** podfence's own image, which the nodes have. */
  readonly image: string;
  /**
   * Hosts outside the cluster, by their addresses as in the tables. Pods reach them and they reach
   * pods.
   */
  readonly outside?: ReadonlyMap<string, OutsideHost>;
  /** @param line what is being done */
  readonly report?: (line: string) => void;
  /** Most rounds of questions until the expected answers arrive. @default 10 */
  readonly rounds?: number;
  /** Aborts the check, which then throws. The example is removed all the same. */
  readonly signal?: AbortSignal;
}

export interface OutsideHost {
  /** Runs examples/pod/ask.mjs there with these arguments and returns its output. */
  ask(args: readonly string[]): Promise<string>;
  /** Runs examples/pod/listen.mjs there on these ports until it is disposed of. */
  listen(ports: readonly string[]): Promise<AsyncDisposable>;
}

export interface RowResult {
  readonly row: TruthRow;
  /** `not proved`: it was closed without the policies too. */
  readonly outcome: 'as expected' | 'otherwise' | 'not proved' | 'not asked';
  /** A text for people. */
  readonly detail: string;
}

const ROUNDS = 10;
const BETWEEN_ROUNDS = 1000;
/**
 * How long a question waits for its answer, in ms. An answer takes microseconds, but seconds on a
 * loaded node.
 */
const PATIENCE = 5000;
const ASK = '/opt/podfence/examples/pod/ask.mjs';
const IMAGE = 'podfence:dev';

/**
 * Applies the example, asks every row, and removes the example again in any case.
 * @throws Error if the cluster already has one of its namespaces; nothing is touched then
 */
export async function checkOnCluster(table: TruthTable, cluster: Cluster): Promise<readonly RowResult[]> {
  const { report = () => {}, rounds = ROUNDS } = cluster;
  const application = manifest([table.application], cluster);
  const policies = manifest(table.policies, cluster);
  for (const name of ownNamespaces(table)) {
    const found = await cluster.kubectl(['get', 'namespace', name, '--ignore-not-found', '-o', 'name']);
    if (found.trim() !== '')
      throw new Error(`the cluster has a namespace ${name} already, which the example would change`);
  }
  await using listeners = new AsyncDisposableStack();
  try {
    report(`examples/${table.example}: the application`);
    await cluster.kubectl(['apply', '-f', '-'], application);
    for (const listening of listen(table, cluster)) listeners.use(await listening);
    const ways = await findWays(table, cluster);
    const asked = [...ways.values()].filter((way) => 'target' in way);
    const all = (expected: (row: TruthRow) => boolean) => (answers: Answers) =>
      asked.every(({ row }) => answers.get(row) === expected(row));

    report(`examples/${table.example}: ${asked.length} ways, without policies`);
    const before = await askUntil(
      asked,
      cluster,
      rounds,
      all(() => true),
    );
    await cluster.kubectl(['apply', '-f', '-'], policies);
    report(`examples/${table.example}: ${asked.length} ways, with its policies`);
    const during = await askUntil(
      asked,
      cluster,
      rounds,
      all(({ expected }) => expected === 'allow'),
    );
    await cluster.kubectl(['delete', '-f', '-'], policies);
    report(`examples/${table.example}: ${asked.length} ways, without policies again`);
    const after = await askUntil(
      asked,
      cluster,
      rounds,
      all(() => true),
    );
    return table.rows.map((row) => {
      const way = ways.get(row);
      if (way === undefined || 'why' in way) return { row, outcome: 'not asked', detail: way?.why ?? '' };
      return resultOf(row, before.get(row), during.get(row), after.get(row));
    });
  } finally {
    await cluster.kubectl(['delete', '--ignore-not-found', '--wait', '-f', '-'], application);
  }
}

function resultOf(row: TruthRow, before = false, during = false, after = false): RowResult {
  const words = (open: boolean) => (open ? 'open' : 'closed');
  const detail = `${words(before)}, with the policies ${words(during)}, then ${words(after)}`;
  if (during !== (row.expected === 'allow')) return { row, outcome: 'otherwise', detail };
  return { row, outcome: before && after ? 'as expected' : 'not proved', detail };
}

/** Where a row's question is asked, and its arguments; or why it is not asked. */
type Way =
  | { readonly row: TruthRow; readonly ask: Ask; readonly target: string }
  | { readonly row: TruthRow; readonly why: string };
type Asked = Extract<Way, { target: string }>;
type Answers = ReadonlyMap<TruthRow, boolean>;

/** One place that asks questions: a pod, or a host outside. */
interface Ask {
  readonly from: string;
  run(args: readonly string[]): Promise<string>;
}

interface RunningPod {
  readonly namespace: string;
  readonly name: string;
  readonly workload: string;
  readonly address: string;
}

async function findWays(table: TruthTable, cluster: Cluster): Promise<ReadonlyMap<TruthRow, Way>> {
  const namespaces = [...new Set(ownNamespaces(table))];
  for (const namespace of namespaces) await rolledOut(namespace, cluster);
  const pods = (await Promise.all(namespaces.map((namespace) => podsOf(namespace, cluster)))).flat();
  const services = await servicesOf(cluster);
  const asks = new Map(pods.map((pod) => [pod.name, podAsk(pod, cluster)]));
  return new Map(
    table.rows.map((row) => {
      const sources = pods.filter(({ workload }) => workload === row.from.name);
      const host = cluster.outside?.get(row.from.name);
      const source = sources[0];
      const ask = source !== undefined ? asks.get(source.name) : host && { from: row.from.name, run: host.ask };
      if (ask === undefined) return [row, { row, why: `nothing here asks as ${row.from.name}` }];
      const target = targetOf(row, pods, services, cluster, source);
      return [
        row,
        target === undefined ? { row, why: `nothing here answers as ${row.to.name}` } : { row, ask, target },
      ];
    }),
  );
}

/** Returns the namespaces that the application brings and rows mention. */
function ownNamespaces({ application }: TruthTable): readonly string[] {
  return [...readFileSync(application, 'utf8').matchAll(/^kind: Namespace\nmetadata:\n {2}name: (\S+)$/gm)].map(
    ([, name = '']) => name,
  );
}

/**
 * Returns the port of a Service if one of that name has it, else of another pod of the workload,
 * else of a host outside.
 */
function targetOf(
  { to, port, protocol }: TruthRow,
  pods: readonly RunningPod[],
  services: ReadonlyMap<string, string>,
  { outside }: Cluster,
  source: RunningPod | undefined,
): string | undefined {
  const pod = pods.find(({ workload, name }) => workload === to.name && name !== source?.name);
  const host = to.kind === 'address' && outside?.has(to.name) ? to.name : undefined;
  // Only nodes know the addresses of Services.
  const service = source === undefined ? undefined : services.get(`${to.name}:${port}/${protocol}`);
  const address = service ?? pod?.address ?? host;
  if (address === undefined) return undefined;
  return `${address.includes(':') ? `[${address}]` : address}:${port}/${protocol.toLowerCase()}`;
}

async function rolledOut(namespace: string, { kubectl }: Cluster): Promise<void> {
  const listed = await kubectl(['-n', namespace, 'get', 'deployments,statefulsets', '-o', 'name']);
  for (const workload of listed.split('\n').filter(Boolean)) {
    await kubectl(['-n', namespace, 'rollout', 'status', workload, '--timeout=120s']);
  }
  await kubectl(['-n', namespace, 'wait', '--for=condition=Ready', 'pods', '--all', '--timeout=120s']);
}

async function podsOf(namespace: string, { kubectl }: Cluster): Promise<readonly RunningPod[]> {
  const { items } = JSON.parse(await kubectl(['-n', namespace, 'get', 'pods', '-o', 'json'])) as { items: object[] };
  return items.flatMap((item) => {
    const { record } = projectPod(item);
    const address = record?.addresses[0];
    if (record === undefined || address === undefined) return [];
    return [{ namespace, name: record.name, workload: `${namespace}/${workloadName(record)}`, address }];
  });
}

interface ListedService {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly spec: { readonly clusterIP?: string; readonly ports?: { port: number; protocol?: string }[] };
}

/** Returns addresses by `namespace/name:port/protocol`. */
async function servicesOf({ kubectl }: Cluster): Promise<ReadonlyMap<string, string>> {
  const { items } = JSON.parse(await kubectl(['get', 'services', '-A', '-o', 'json'])) as { items: ListedService[] };
  return new Map(
    items.flatMap(({ metadata, spec: { clusterIP = 'None', ports = [] } }) =>
      clusterIP === 'None'
        ? []
        : ports.map(({ port, protocol = 'TCP' }) => [
            `${metadata.namespace}/${metadata.name}:${port}/${protocol}`,
            clusterIP,
          ]),
    ),
  );
}

/** The shell discards the exit code of ask.mjs, which reports missing answers. */
function podAsk({ namespace, name, workload }: RunningPod, { kubectl }: Cluster): Ask {
  const shell = ['sh', '-c', `node ${ASK} "$@" || true`, 'ask'];
  return { from: workload, run: (args) => kubectl(['-n', namespace, 'exec', name, '--', ...shell, ...args]) };
}

/** Makes hosts outside listen if rows are about them. */
function listen({ rows }: TruthTable, { outside = new Map() }: Cluster): readonly Promise<AsyncDisposable>[] {
  const toHosts = Map.groupBy(
    rows.filter(({ to }) => outside.has(to.name)),
    ({ to }) => to.name,
  );
  return [...toHosts].map(([name, own]) => {
    const ports = new Set(own.map(({ port, protocol }) => `${port}/${protocol.toLowerCase()}`));
    return (outside.get(name) as OutsideHost).listen([...ports]);
  });
}

/** Returns the first answers that are as expected, or the last ones. */
async function askUntil(
  ways: readonly Asked[],
  cluster: Cluster,
  rounds: number,
  holds: (answers: Answers) => boolean,
): Promise<Answers> {
  for (let round = 1; ; round++) {
    cluster.signal?.throwIfAborted();
    const answers = await askAll(ways);
    if (holds(answers) || round >= rounds) return answers;
    cluster.report?.(
      `  round ${round}: ${[...answers.values()].filter(Boolean).length} of ${ways.length} answer; asking again`,
    );
    await setTimeout(BETWEEN_ROUNDS);
  }
}

async function askAll(ways: readonly Asked[]): Promise<Answers> {
  const bySource = [...Map.groupBy(ways, ({ ask }) => ask)];
  const answers = await Promise.all(
    bySource.map(async ([ask, own]) => {
      const printed = await ask.run(['--patience', String(PATIENCE), ...own.map(({ target }) => target)]);
      const lines = printed.trimEnd().split('\n');
      if (lines.length !== own.length) throw new Error(`${ask.from} could not ask: ${printed}`);
      return own.map(({ row }, i) => [row, lines[i]?.includes(' answers:') ?? false] as const);
    }),
  );
  return new Map(answers.flat());
}

/** Returns the files as one text, with the cluster's image. */
function manifest(files: readonly string[], { image }: Cluster): string {
  return files
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n---\n')
    .replaceAll(IMAGE, image);
}

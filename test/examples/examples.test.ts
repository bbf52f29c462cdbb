/**
 * The applications of examples/: their truth tables are complete, and true on paper and for real
 * packets.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { Lab, type LabHost, type ProbeResult } from '../../src/lab/lab.ts';
import { type LoadedManifests, loadManifests } from '../../src/manifests/load.ts';
import { parseAssertions } from '../../src/matrix/assertion.ts';
import { AssertionChecker } from '../../src/matrix/assertion-check.ts';
import { workloadName } from '../../src/matrix/workload-name.ts';
import { patience } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import { type TruthRow, type TruthTable, truthTables } from './truth-tables.ts';

const PODS = join(import.meta.dirname, '../../examples/pod');
/** How long, in ms, a denied request must stay unanswered; see scenarios/reachability.ts. */
const WATCH = 250;

const TABLES = truthTables().map((table) => [table.example, table] as const);

const key = ({ from, to, port, protocol }: Pick<TruthRow, 'from' | 'to' | 'port' | 'protocol'>) =>
  `${from.name} -> ${to.name}:${port}/${protocol.toLowerCase()}`;

test('there is an example for each kind that tutorials teach', () => {
  expect(TABLES.map(([example]) => example)).toEqual(['backup', 'isolated-namespaces', 'mongo', 'three-tier']);
});

describe.each(TABLES)('examples/%s', (_, table) => {
  test('covers every workload and outside host, to every port, in its truth table', async () => {
    const rows = table.rows.map(key);
    expect(new Set(rows).size, 'a row comes twice').toBe(rows.length);
    expect(waysOf(await loadManifests([table.folder]), table).filter((way) => !rows.includes(way))).toEqual([]);
  });

  test('matches its truth table on paper', async () => {
    const { snapshot, services } = await loadManifests([table.folder]);
    const checker = new AssertionChecker(snapshot, services);
    const text = readFileSync(join(table.folder, 'truth-table.txt'), 'utf8');
    const outcomes = parseAssertions(text, '').assertions.map((assertion) => checker.check(assertion));
    expect(outcomes.filter((outcome) => !('violations' in outcome) || outcome.violations.length > 0)).toEqual([]);
  });

  test('listens on the ports that it declares, and pulls no image from a public registry', () => {
    for (const { name, image, command, ports } of containersOf(table)) {
      const listening = (command?.slice(2) ?? []).map((port) => port.replace('/tcp', ''));
      const declared = (ports ?? []).map(({ containerPort, protocol = 'TCP' }) =>
        protocol === 'TCP' ? String(containerPort) : `${containerPort}/${protocol.toLowerCase()}`,
      );
      expect(listening.toSorted(), name).toEqual(declared.toSorted());
      expect({ image, program: command?.slice(0, 2) }, name).toEqual({
        image: 'podfence:dev',
        program: ['node', '/opt/podfence/examples/pod/listen.mjs'],
      });
    }
  });
});

describeAsRoot('With real packets', () => {
  test.each(TABLES)('examples/%s matches its truth table', { timeout: patience(120_000) }, async (_, table) => {
    const manifests = await loadManifests([table.folder]);
    const externals = table.outside.map((address) => ({ name: address, address }));
    const lab = await Lab.start({ manifests, externals, nodes: 2 });
    try {
      const observed = { ...(await probed(lab, table.rows)), ...(await asked(lab, table.rows)) };
      expect(observed).toEqual(Object.fromEntries(table.rows.map((row) => [key(row), row.expected])));
    } finally {
      await lab.stop();
    }
  });
});

/** Returns the results for pods, probed by the lab's own listeners. */
async function probed(lab: Lab, rows: readonly TruthRow[]): Promise<Record<string, string>> {
  const toPods = rows.filter(({ to }) => to.kind === 'workload');
  const results = await lab.probe((probe) => toPods.some((row) => concerns(row, probe)), { watch: WATCH });
  return Object.fromEntries(
    toPods.map((row) => {
      const own = results.filter((result) => concerns(row, result));
      return [key(row), [...new Set(own.map(({ observed }) => observed))].sort().join(' and ') || 'not asked'];
    }),
  );
}

/** A pod that reaches itself through its Service proves nothing: policies do not apply to that. */
function concerns(
  { from, to, port, protocol }: TruthRow,
  probe: Pick<ProbeResult, 'from' | 'to' | 'port' | 'protocol' | 'pod'>,
) {
  const destination = probe.to.startsWith('service/') ? probe.to.slice('service/'.length) : workload(probe.to);
  return (
    probe.from !== probe.pod &&
    workload(probe.from) === from.name &&
    destination === to.name &&
    probe.port === port &&
    probe.protocol === protocol
  );
}

/** Returns `shop/backend` for `shop/backend-2`, and the address for a host outside. */
function workload(name: string): string {
  const [namespace, pod] = name.split('/');
  return pod === undefined ? name : `${namespace}/${workloadName({ name: pod, labels: {} } as never)}`;
}

/** Returns the results for hosts outside, asked with the program that pods of a cluster run. */
async function asked(lab: Lab, rows: readonly TruthRow[]): Promise<Record<string, string>> {
  const toHosts = rows.filter(({ to }) => to.kind === 'address');
  const hosts = [...new Set(toHosts.map(({ to }) => to.name))];
  const listeners = hosts.map((host) => {
    const ports = new Set(toHosts.filter(({ to }) => to.name === host).map(({ port }) => String(port)));
    return listen(lab.external(host), [...ports]);
  });
  try {
    await Promise.all(listeners.map(({ listening }) => listening));
    const bySource = Map.groupBy(toHosts, ({ from }) => from.name);
    const answers = await Promise.all([...bySource].map(([source, own]) => ask(lab, source, own)));
    return Object.assign({}, ...answers);
  } finally {
    await Promise.all(listeners.map(({ end }) => end()));
  }
}

/** An allowed request is answered in microseconds, but starting a program may take long here. */
async function ask(lab: Lab, source: string, rows: readonly TruthRow[]): Promise<Record<string, string>> {
  const pod = lab.pods.find(({ name }) => workload(name) === source);
  if (pod === undefined) throw new Error(`there is no pod of ${source}`);
  const targets = rows.map(({ to, port, protocol }) => `${to.name}:${port}/${protocol.toLowerCase()}`);
  const { stdout, stderr } = await lab.exec(pod, [process.execPath, join(PODS, 'ask.mjs'), ...targets]);
  const lines = stdout.trimEnd().split('\n');
  if (lines.length !== rows.length) throw new Error(`${source} could not ask: ${stderr}`);
  return Object.fromEntries(rows.map((row, i) => [key(row), lines[i]?.includes(' answers:') ? 'allow' : 'deny']));
}

function listen(host: LabHost, ports: readonly string[]) {
  const child: ChildProcess = host.netns.run(() =>
    spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, join(PODS, 'listen.mjs'), ...ports], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const ended = once(child, 'close');
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>();
  let lines = 0;
  if (child.stdout !== null)
    createInterface({ input: child.stdout }).on('line', () => ++lines === ports.length && resolve());
  void ended.then(() => reject(new Error(`what listens at ${host.name} has ended`)));
  listening.catch(() => {});
  return {
    listening,
    end: async () => {
      child.kill();
      await ended;
    },
  };
}

/**
 * Returns every source and destination in the manifests: each workload and host outside, to each
 * port of the others, and to each Service that it is not behind.
 */
function waysOf({ snapshot, services }: LoadedManifests, { outside }: TruthTable): string[] {
  const workloads = Map.groupBy(snapshot.pods, (pod) => `${pod.namespace}/${workloadName(pod)}`);
  return [...workloads].flatMap(([to, replicas]) => {
    const senders = [...workloads.keys()].filter((from) => from !== to || replicas.length > 1);
    const ports = replicas[0]?.ports.map(({ port, protocol }) => `${to}:${port}/${protocol.toLowerCase()}`) ?? [];
    const inFront = services.filter(({ selector = {}, namespace }) =>
      replicas.some(
        ({ labels, namespace: own }) =>
          own === namespace && Object.entries(selector ?? {}).every(([name, value]) => labels[name] === value),
      ),
    );
    const served = inFront.flatMap(({ namespace, name, ports: all }) =>
      all.map(({ port, protocol }) => `${namespace}/${name}:${port}/${protocol.toLowerCase()}`),
    );
    return [
      ...[...senders, ...outside].flatMap((from) => ports.map((port) => `${from} -> ${port}`)),
      ...senders.filter((from) => from !== to).flatMap((from) => served.map((port) => `${from} -> ${port}`)),
    ];
  });
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly ports?: readonly { readonly containerPort: number; readonly protocol?: string }[];
}

function containersOf({ application }: TruthTable): readonly Container[] {
  return parseAllDocuments(readFileSync(application, 'utf8')).flatMap((document) => {
    const { spec } = document.toJS() as {
      spec?: { containers?: Container[]; template?: { spec: { containers: Container[] } } };
    };
    return spec?.containers ?? spec?.template?.spec.containers ?? [];
  });
}

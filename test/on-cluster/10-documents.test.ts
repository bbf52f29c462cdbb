/** README.md and daemonset/README.md: their commands as they stand, and what they promise to show. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, PROJECT } from './cluster.ts';
import { Documented } from './documents.ts';
import { cleanNodes, rolledOut } from './installation.ts';
import { markedConnections, rulesOf } from './node-rules.ts';
import type { Running } from './shell.ts';
import { until } from './until.ts';

const cluster = new Cluster();
const documented = new Documented([
  ['README.md', 'Can it enforce here?'],
  ['README.md', 'On a kind cluster'],
  ['daemonset/README.md', 'Installing'],
  ['daemonset/README.md', 'Settings'],
  ['daemonset/README.md', 'No pod before its policies'],
  ['daemonset/README.md', 'Metrics and questions'],
]);
const before = new Map<string, readonly string[]>();
let nodes: readonly string[] = [];
/** The node of the server of examples/try.yaml. */
let node = '';
let log: Running;

/** Runs a documented command, with names that a reader replaces too. */
async function runs(pattern: RegExp, replace: (command: string) => string = (command) => command): Promise<string> {
  const command = replace(documented.command(pattern));
  const { code, stdout, stderr } = await cluster.asDocumented(command, { timeout: 200_000 });
  expect({ command, code, stderr: code === 0 ? '' : stderr }).toEqual({ command, code: 0, stderr: '' });
  return stdout;
}

const ownImage = (command: string) => command.replaceAll('registry.example.com/podfence:0.1.0', cluster.target.image);

beforeAll(async () => {
  nodes = await cluster.nodes();
  if (cluster.target.onNode === undefined) return;
  for (const each of nodes) before.set(each, await rulesOf(cluster, each));
});
afterAll(() => log?.stop());

describe('a newcomer on a kind cluster', () => {
  test('asks whether it can enforce here', async () => {
    documented.elsewhere(/^sudo podfence doctor/, 'the next one runs a pod on each node that asks the same');
    const command = documented
      .command(/^podfence doctor --kubeconfig/)
      .replace('~/.kube/config', cluster.target.kubeconfig);
    const { code, stdout } = await cluster.asDocumented(command, { timeout: 150_000 });
    // 1: it has found something to complain about, on a cluster without an agent.
    expect([0, 1]).toContain(code);
    expect(stdout).toContain('nftables');
  });

  test('makes the cluster and the image', () => {
    documented.elsewhere(/^kind create cluster/, 'the cluster is there');
    documented.elsewhere(/^docker build/, "test/deploy/dockerfile-steps.mjs carries the Dockerfile's steps out");
    documented.elsewhere(/^kind load/, 'the run has loaded the image');
  });

  test('installs podfence', async () => {
    expect(await runs(/^kubectl apply -k daemonset\/kind/)).toMatch(/daemon ?set "podfence" successfully rolled out/);
  });

  test('has a client that asks a server', async () => {
    await runs(/^kubectl apply -f examples\/try.yaml/);
    node = (await cluster.get('pod', 'server', 'try')).spec.nodeName ?? '';
    // It goes on until it is ended.
    log = cluster.runningAsDocumented(documented.command(/^kubectl -n try logs -f client$/));
    await log.line(/answers: /);
  });

  test('isolates the server, and the client is without an answer', async () => {
    const from = log.lines.length;
    await runs(/^kubectl apply -f examples\/try-isolate.yaml/);
    await log.line(/no answer/, { from });
  });

  test.skipIf(cluster.target.onNode === undefined)('sees on a node that it is enforcing', async () => {
    const onNode = (command: string) => cluster.onNode(node, command);
    const metrics = documented.command(/^curl localhost:9464\/metrics/);
    expect(await onNode(documented.command(/^curl localhost:9464\/readyz/))).toMatch(/^policies in force since /);
    const status = JSON.parse(await onNode(documented.command(/^curl localhost:9464\/status/)));
    expect(status.node).toBe(node);
    expect(await onNode(metrics)).toMatch(/^podfence_packets_total\{.*deny/m);
  });

  test('proves it', async () => {
    expect(await runs(/^podfence canary /)).toMatch(/^Proved: /m);
  });

  test('opens it again', async () => {
    const from = log.lines.length;
    await runs(/^kubectl delete -f examples\/try-isolate.yaml/);
    await log.line(/answers: /, { from });
  });
});

describe('who runs it', () => {
  const isolate = (verb: 'apply' | 'delete') => cluster.kubectl([verb, '-f', 'examples/try-isolate.yaml']);
  const podName = async () => (await cluster.agents()).get(node)?.metadata.name ?? '';

  /** Runs `during` beside the documented port-forward to the agent of the server's node. */
  async function forwarded(command: string, during: () => Promise<void>): Promise<void> {
    const name = await podName();
    const forward = cluster.runningAsDocumented(command.replace(/pod\/\S+/, `pod/${name}`));
    try {
      await forward.line(/^Forwarding from /);
      await during();
    } finally {
      await forward.stop();
    }
  }
  const FORWARD = /port-forward pod\/\S+ 9465$/;
  let forward = '';

  test('sees who is denied, by a port-forward', async () => {
    expect(await runs(/get pods -o wide$/)).toContain(await podName());
    forward = documented.command(FORWARD);
    await forwarded(forward, async () => {
      const follow = documented
        .command(/^podfence flows --follow --verdict deny/)
        .replace('shop/frontend-1', 'try/client');
      const flows = cluster.runningAsDocumented(follow);
      await isolate('apply');
      await flows.line(/deny +try\/client +try\/server +8080\/tcp .*ingress-denied: try\/server/);
      await flows.stop();
    });
  });

  test('audits: nothing is denied, and what would be is shown', async () => {
    const from = log.lines.length;
    await runs(/PODFENCE_MODE=audit$/);
    await rolledOut(cluster);
    await log.line(/answers: /, { from });
    await forwarded(forward, () =>
      until('the client would be denied', async () => {
        const { stdout } = await cluster.asDocumented('podfence flows --verdict would_deny', { quiet: true });
        return /would_deny +try\/client +try\/server/.test(stdout);
      }),
    );
  });

  test('enforces again', async () => {
    await runs(/PODFENCE_MODE-$/);
    await rolledOut(cluster);
    await log.line(/no answer/, { from: log.lines.length });
  });

  test('tries a setting', async () => {
    const setting = documentedSetting();
    const { code } = await cluster.asDocumented(setting);
    expect(code).toBe(0);
    await rolledOut(cluster);
    const pod = await cluster.get('pod', await podName(), 'podfence-system');
    expect(JSON.stringify(pod.spec)).toContain('{"name":"PODFENCE_DENY","value":"reject"}');
    await log.line(/no answer/, { from: log.lines.length });
  });
});

describe('who removes it', () => {
  test('follows the three commands, and nothing stays', async () => {
    await log.stop();
    await cluster.kubectl(['delete', '-f', 'examples/try.yaml', '--timeout=60s']);
    const kindnet = ['delete', '-f', 'daemonset/kind/kindnet.yaml', '--ignore-not-found'];
    await cluster.kubectl(kindnet);
    await runs(/patch daemonset podfence --patch-file daemonset\/removal.yaml$/);
    await runs(/^kubectl -n podfence-system rollout status daemonset podfence$/);
    await runs(/^kubectl delete -k daemonset\/base$/);
  });

  test.skipIf(cluster.target.onNode === undefined)(
    'has the rules, sets and marks of before on every node',
    async () => {
      for (const each of nodes) {
        expect(await markedConnections(cluster, each)).toEqual([]);
        // kube-proxy writes its own rules, of the Services that went, a moment later.
        let now: readonly string[] = [];
        const same = async () => {
          now = await rulesOf(cluster, each);
          return JSON.stringify(now) === JSON.stringify(before.get(each));
        };
        await until(`${each} has its rules of before`, same, () => difference(before.get(each) ?? [], now));
      }
    },
  );
});

function difference(was: readonly string[], is: readonly string[]): string {
  const gone = was.filter((line) => !is.includes(line)).map((line) => `- ${line}`);
  const come = is.filter((line) => !was.includes(line)).map((line) => `+ ${line}`);
  return [...gone, ...come].join('\n');
}

/** It stands within a sentence, over two lines. @throws Error where the document has another one */
function documentedSetting(): string {
  const setting = 'kubectl -n podfence-system set env daemonset podfence PODFENCE_DENY=reject';
  const text = readFileSync(join(PROJECT, 'daemonset', 'README.md'), 'utf8').replaceAll(/\s+/g, ' ');
  if (!text.includes(`\`${setting}\``)) throw new Error(`daemonset/README.md has no longer: ${setting}`);
  return setting;
}

describe('the other ways to install', () => {
  /** As daemonset/README.md says, whatever brought it. */
  async function removeWith(remove: readonly string[]): Promise<void> {
    await cleanNodes(cluster);
    expect((await cluster.asDocumented(remove.join(' '))).code).toBe(0);
  }

  test('one file, and the client and server by the name of the image', async () => {
    await runs(/daemonset\/install\.yaml \| kubectl apply -f -$/, ownImage);
    await rolledOut(cluster);
    await runs(/examples\/try\.yaml \| kubectl apply -f -$/, ownImage);
    await cluster.kubectl(['-n', 'try', 'wait', '--for=condition=Ready', 'pod', '--all']);
    await cluster.kubectl(['delete', '-f', 'examples/try.yaml', '--timeout=60s']);
    await removeWith(['kubectl delete -f daemonset/install.yaml --timeout=60s']);
  });

  test.skipIf(cluster.helm === undefined)('a Helm chart', async () => {
    await runs(/^kubectl apply -f daemonset\/base\/namespace.yaml/);
    const [repository, tag] = cluster.target.image.split(':');
    const image = `image.repository=${repository},image.tag=${tag}`;
    await runs(/^helm install podfence /, (command) => command.replace(/image\.repository=\S+/, image));
    await rolledOut(cluster);
    await removeWith(['helm uninstall podfence -n podfence-system && kubectl delete -f daemonset/base/namespace.yaml']);
  });

  // It is base with its own image, which only a cluster of this machine has by that name.
  test.skipIf(cluster.target.scripts === undefined)(
    'with a start-up taint, which goes once policies are in force',
    async () => {
      const tainted = nodes[0] ?? '';
      await cluster.kubectl(['taint', 'node', tainted, 'podfence.io/agent-not-ready=:NoSchedule']);
      await runs(/^kubectl apply -k daemonset\/startup-taint/);
      await rolledOut(cluster);
      await until('the taint is gone', async () => (await cluster.get('node', tainted)).spec.taints === undefined);
      await removeWith(['kubectl delete -k daemonset/startup-taint --timeout=60s']);
    },
  );
});

test('every documented command was executed', () => {
  documented.elsewhere(/^kubectl apply -k OVERLAY/, 'the kind overlay is one');
  documented.elsewhere(/^helm … /, 'a part of a command; test/deploy/chart.test.ts renders it');
  documented.elsewhere(/^kubelet /, 'a part of a command, of somebody else');
  if (cluster.helm === undefined) {
    documented.elsewhere(/^kubectl apply -f daemonset\/base\/namespace.yaml/, 'there is no helm');
    documented.elsewhere(/^helm install /, 'there is no helm');
  }
  if (cluster.target.scripts === undefined) documented.elsewhere(/startup-taint$/, 'the image has another name');
  expect(documented.left).toEqual([]);
});

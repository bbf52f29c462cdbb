/**
 * The documents about clusters: their commands run as they are written, and show what the documents
 * promise.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster } from './cluster.ts';
import { Documented, inSentence } from './documents.ts';
import { cleanNodes, enforcingSince, install, rolledOut, splitImage } from './installation.ts';
import { NodeRules, ownRulesOf } from './node-rules.ts';
import { Namespace } from './pods.ts';
import type { Running } from './shell.ts';
import { until } from './until.ts';

const cluster = new Cluster();
const PAGES = ['cluster', 'audit', 'replay', 'wire'].map((page) => `docs/${page}.md`);
const documented = new Documented(['README.md', ...PAGES, 'daemonset/README.md'], {
  'Two commands': 'they are for a checkout',
  'On one machine without a cluster': 'it is not about a cluster',
});
/** Whether this run made the cluster: then network and image are as in the documents. */
const isOurs = cluster.target.scripts !== undefined;
/** The rules before the first install; undefined if there is no way onto the nodes. */
let before: NodeRules | undefined;
let nodes: readonly string[] = [];
/** The node of the server in examples/try.yaml. */
let node = '';
let isApplied = false;
let log: Running | undefined;

/** Runs a documented command, with the names replaced that a reader replaces, too. */
async function runs(pattern: RegExp, replace: (command: string) => string = (command) => command): Promise<string> {
  const command = replace(documented.command(pattern));
  const { code, stdout, stderr } = await cluster.asDocumented(command, { timeout: 200_000 });
  expect({ command, code, stderr: code === 0 ? '' : stderr }).toEqual({ command, code: 0, stderr: '' });
  return stdout;
}

/** Replaces the image by its name here. */
function ownImage(command: string): string {
  const { image } = cluster.target;
  const named = command
    .replaceAll('registry.example.com/podfence:0.1.0', image)
    .replace('--image podfence:dev', `--image ${image}`);
  return isOurs ? named : named.replace('--image-pull-policy Never', '--image-pull-policy IfNotPresent');
}

beforeAll(async () => {
  if (await cluster.hasNamespace('try'))
    throw new Error('the cluster has a namespace try, which examples/try.yaml would change');
  nodes = await cluster.nodes();
  if (cluster.target.onNode !== undefined) before = await NodeRules.of(cluster, nodes);
});
afterAll(async () => {
  await log?.stop();
  if (isApplied) await cluster.kubectl(['delete', '-f', 'examples/try.yaml', '--ignore-not-found', '--timeout=60s']);
});

/** Resolves when the client's log has a matching line that comes after `change`. */
async function says(pattern: RegExp, change: () => Promise<unknown> = async () => undefined): Promise<void> {
  if (log === undefined) throw new Error('there is no client');
  const from = log.lines.length;
  await change();
  await log.line(pattern, { from });
}

describe('a newcomer on a kind cluster', () => {
  test('asks whether it can enforce here', async () => {
    documented.elsewhere(/^sudo podfence doctor/, 'the next command runs a pod on each node that checks the same');
    const command = ownImage(documented.command(/^podfence doctor --kubeconfig/)).replace(
      '~/.kube/config',
      cluster.target.kubeconfig,
    );
    const { code, stdout } = await cluster.asDocumented(command, { timeout: 150_000 });
    // 1: it reports problems, on a cluster without an agent.
    expect([0, 1]).toContain(code);
    expect(stdout).toContain('nftables');
  });

  test('makes the cluster and the image', () => {
    documented.elsewhere(/^npm (pack$|install )/, 'the npm package has nothing to do with a cluster');
    documented.elsewhere(/^kind create cluster/, 'the cluster exists already');
    documented.elsewhere(/^docker build/, "test/deploy/dockerfile-steps.mjs carries the Dockerfile's steps out");
    documented.elsewhere(/^kind load/, 'the run has loaded the image');
  });

  test('installs podfence', async () => {
    if (!isOurs) {
      documented.elsewhere(/^kubectl apply -k daemonset\/kind/, "it would replace the cluster's kindnet");
      return install(cluster);
    }
    expect(await runs(/^kubectl apply -k daemonset\/kind/)).toMatch(/daemon ?set "podfence" successfully rolled out/);
  });

  test('has a client that asks a server', async () => {
    isApplied = true;
    const apply = 'kubectl apply -f examples/try.yaml';
    const byImage = `sed 's|podfence:dev|${cluster.target.image}|' examples/try.yaml | kubectl apply -f -`;
    await runs(/^kubectl apply -f examples\/try.yaml/, (command) => command.replace(apply, isOurs ? apply : byImage));
    node = (await cluster.get('pod', 'server', 'try')).spec.nodeName ?? '';
    // It runs until it is ended.
    log = cluster.runningAsDocumented(documented.command(/^kubectl -n try logs -f client$/));
    await says(/answers: /);
  });

  test('isolates the server, and the client gets no answer', async () => {
    await says(/no answer/, () => runs(/^kubectl apply -f examples\/try-isolate.yaml/));
  });

  test.skipIf(cluster.target.onNode === undefined)('sees on a node that it is enforcing', async () => {
    const onNode = (command: string) => cluster.onNode(node, command);
    const metrics = documented.command(/^curl localhost:9464\/metrics/);
    expect(await onNode(documented.command(/^curl localhost:9464\/readyz/))).toMatch(/^policies in force since /);
    const status = JSON.parse(await onNode(documented.command(/^curl localhost:9464\/status/)));
    expect(status.node).toBe(node);
    expect(await onNode(metrics)).toMatch(/^podfence_packets_total\{.*deny/m);
    // This shows that the node's tools see what the removal is checked against.
    expect(await ownRulesOf(cluster, node)).not.toEqual([]);
  });

  test('proves it', async () => {
    expect(await runs(/^podfence canary /, ownImage)).toMatch(/^Proved: /m);
  });

  test('opens it again', async () => {
    await says(/answers: /, () => runs(/^kubectl delete -f examples\/try-isolate.yaml/));
  });
});

describe('an operator', () => {
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
  let [forward, flows] = ['', ''];
  const NO_MODE = 'podfence.io/mode-';

  const wouldBeDenied = () =>
    forwarded(forward, () =>
      until('the client would be denied', async () => {
        const { stdout } = await cluster.asDocumented(flows, { quiet: true });
        return /would_deny +try\/client +try\/server/.test(stdout);
      }),
    );

  test('sees who is denied, by a port-forward', async () => {
    expect(await runs(/get pods -o wide$/)).toContain(await podName());
    forward = documented.command(FORWARD);
    await forwarded(forward, async () => {
      const follow = documented
        .command(/^podfence flows --follow --verdict deny/)
        .replace('shop/frontend-1', 'try/client');
      const following = cluster.runningAsDocumented(follow);
      await isolate('apply');
      await following.line(/deny +try\/client +try\/server +8080\/tcp .*ingress-denied: try\/server/);
      await following.stop();
    });
  });

  test('audits: nothing is denied, and what would be denied is shown', async () => {
    documented.elsewhere(/^sudo podfence agent --mode audit/, 'an agent without a cluster');
    flows = documented.command(/^podfence flows --verdict would_deny$/);
    await says(/answers: /, async () => {
      await runs(/PODFENCE_MODE=audit$/);
      await rolledOut(cluster);
    });
    await wouldBeDenied();
  });

  test('enforces again', async () => {
    await runs(/PODFENCE_MODE-$/);
    await rolledOut(cluster);
    await says(/no answer/);
  });

  test('puts one policy on trial, or all of a namespace', async () => {
    const tryOut = (command: string) => command.replace(' shop', ' try').replace(' database ', ' server ');
    await says(/answers: /, () => runs(/^kubectl annotate networkpolicy /, tryOut));
    await wouldBeDenied();
    await says(/no answer/, () => cluster.kubectl(['-n', 'try', 'annotate', 'networkpolicy', 'server', NO_MODE]));
    await says(/answers: /, () => runs(/^kubectl annotate namespace /, tryOut));
    await says(/no answer/, () => cluster.kubectl(['annotate', 'namespace', 'try', NO_MODE]));
  });

  test('tries a setting', async () => {
    const setting = 'kubectl -n podfence-system set env daemonset podfence PODFENCE_DENY=reject';
    const { code } = await cluster.asDocumented(inSentence('daemonset/README.md', setting));
    expect(code).toBe(0);
    await rolledOut(cluster);
    const pod = await cluster.get('pod', await podName(), 'podfence-system');
    expect(JSON.stringify(pod.spec)).toContain('{"name":"PODFENCE_DENY","value":"reject"}');
    await says(/no answer/);
  });

  test('saves the cluster, to judge recordings by it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'podfence-documents-'));
    const command = documented.command(/^kubectl get .* > cluster\.yaml$/);
    try {
      expect((await cluster.asDocumented(command, { cwd: folder })).code).toBe(0);
      expect(readFileSync(join(folder, 'cluster.yaml'), 'utf8')).toContain('kind: NetworkPolicy');
    } finally {
      rmSync(folder, { recursive: true });
    }
    documented.elsewhere(/^(sudo tcpdump|podfence replay|sudo podfence (audit|wire)) /, 'recordings and interfaces');
  });
});

describe('removing it', () => {
  test('follows the three commands, and nothing stays', async () => {
    await log?.stop();
    await cluster.kubectl(['delete', '-f', 'examples/try.yaml', '--timeout=60s']);
    if (isOurs) await cluster.kubectl(['delete', '-f', 'daemonset/kind/kindnet.yaml']);
    await runs(/patch daemonset podfence --patch-file daemonset\/removal.yaml$/);
    await runs(/^kubectl -n podfence-system rollout status daemonset podfence$/);
    await runs(/^kubectl delete -k daemonset\/base$/);
  });

  test.skipIf(cluster.target.onNode === undefined)('has the rules, sets and marks of before on every node', () =>
    before?.isBack(),
  );
});

describe('the other ways to install', () => {
  /** Removes podfence as daemonset/README.md says; `remove` depends on how it was installed. */
  async function removeWith(remove: string): Promise<void> {
    await cleanNodes(cluster);
    expect((await cluster.asDocumented(remove)).code).toBe(0);
    await before?.isBack();
  }

  test('one file, and the client and server by the name of the image', async () => {
    await runs(/daemonset\/install\.yaml \| kubectl apply -f -$/, ownImage);
    await rolledOut(cluster);
    await runs(/examples\/try\.yaml \| kubectl apply -f -$/, ownImage);
    await cluster.kubectl(['-n', 'try', 'wait', '--for=condition=Ready', 'pod', '--all']);
    await cluster.kubectl(['delete', '-f', 'examples/try.yaml', '--timeout=60s']);
    await removeWith('kubectl delete -f daemonset/install.yaml --timeout=60s');
  });

  test.skipIf(cluster.helm === undefined)('a Helm chart', async () => {
    await runs(/^kubectl apply -f daemonset\/base\/namespace.yaml/);
    const [repository, tag] = splitImage(cluster.target.image);
    const image = `image.repository=${repository},image.tag=${tag}`;
    await runs(/^helm install podfence /, (command) => command.replace(/image\.repository=\S+/, image));
    await rolledOut(cluster);
    await removeWith('helm uninstall podfence -n podfence-system && kubectl delete -f daemonset/base/namespace.yaml');
  });

  // The overlay is base with its own image name, which only a cluster of this machine has.
  test.skipIf(!isOurs)('with a start-up taint: a pod waits until policies are in force', async () => {
    const tainted = nodes[0] ?? '';
    const taint = 'podfence.io/agent-not-ready';
    await cluster.kubectl(['taint', 'node', tainted, `${taint}=:NoSchedule`]);
    const own = await Namespace.create(cluster, 'taint');
    try {
      const { spec } = own.template({ node: tainted }) as { spec: object };
      await own.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'waiting' }, spec });
      await own.kubectl('wait', '--for=condition=PodScheduled=false', 'pod/waiting', '--timeout=30s');
      await runs(/^kubectl apply -k daemonset\/startup-taint/);
      await rolledOut(cluster);
      await own.kubectl('wait', '--for=condition=Ready', 'pod/waiting', '--timeout=60s');
      expect((await cluster.get('node', tainted)).spec.taints).toBeUndefined();
      const conditions = (await own.pod('waiting')).status.conditions as { type: string; lastTransitionTime: string }[];
      const scheduled = conditions.find(({ type }) => type === 'PodScheduled')?.lastTransitionTime ?? '';
      // The API server's times are in whole seconds.
      expect(Date.parse(scheduled) + 1000).toBeGreaterThan(await enforcingSince(cluster, tainted));
    } finally {
      await own.delete();
      await cluster.kubectl(['taint', 'node', tainted, `${taint}-`]).catch(() => 'it is gone');
    }
    await removeWith('kubectl delete -k daemonset/startup-taint --timeout=60s');
  });
});

test('every documented command was executed', () => {
  documented.elsewhere(/^kubectl apply -k OVERLAY/, 'the kind overlay is one');
  documented.elsewhere(/^helm (… |template )/, 'test/deploy/chart.test.ts renders it');
  documented.elsewhere(/^kubelet /, 'part of a command of another program');
  if (cluster.helm === undefined) {
    documented.elsewhere(/^kubectl apply -f daemonset\/base\/namespace.yaml/, 'there is no helm');
    documented.elsewhere(/^helm install /, 'there is no helm');
  }
  if (cluster.target.onNode === undefined)
    documented.elsewhere(/^curl localhost:9464/, 'no way onto the nodes was named');
  if (!isOurs) documented.elsewhere(/startup-taint$/, 'the image has another name');
  expect(documented.left).toEqual([]);
});

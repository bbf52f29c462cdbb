/**
 * Compares what the agent reports in audit mode as denials to what the same agent denies when it
 * enforces: the three-tier example, every probe.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NamespaceRecord } from '../../src/cluster/records.ts';
import { Lab, type LabPod } from '../../src/lab/lab.ts';
import { loadManifests } from '../../src/manifests/load.ts';
import { patience } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import { type FlowLines, flowLines } from './flow-lines.ts';
import { RunningAgent } from './running-agent.ts';

const NODE = 'node-1';
const EXAMPLE = 'examples/three-tier';
const PATIENCE = patience(20_000);

describeAsRoot('The three-tier example in audit mode', () => {
  let lab: Lab;
  let folder: string;
  let denied: ReadonlySet<string>;

  beforeAll(async () => {
    const manifests = await loadManifests([EXAMPLE]);
    const externals = [{ name: 'client', address: '192.0.2.10' }];
    lab = await Lab.start({ manifests, nodes: [NODE], externals, agents: false });
    folder = mkdtempSync(join(tmpdir(), 'podfence-audit-'));
    const items = [...manifests.snapshot.namespaces.map(namespaceOf), ...lab.pods.map(podOf)];
    writeFileSync(join(folder, 'cluster.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    const { results, flows } = await probeUnder('--mode', 'enforce');
    expect(results.filter(({ observed, expected }) => observed !== expected)).toEqual([]);
    expect(flows.filter(({ verdict }) => verdict === 'would_deny')).toEqual([]);
    denied = setOf(flows.filter(({ verdict }) => verdict === 'deny'));
    expect(denied.size).toBeGreaterThan(30);
  });
  afterAll(async () => {
    await lab?.stop();
    rmSync(folder, { recursive: true });
  });

  /**
   * Runs every probe; returns the results and the flows that the agent reported. Stops the agent.
   */
  async function probeUnder(...flags: readonly string[]) {
    const manifests = [`${EXAMPLE}/policies`, join(folder, 'cluster.json')].join(',');
    const agent = new RunningAgent(lab.node(NODE), ['--node-name', NODE, '--manifests', manifests, ...flags]);
    try {
      await agent.ready();
      const results = await lab.probe();
      const { lines: flows, leftOut } = await allTold(agent);
      expect(leftOut).toEqual([]);
      return { results, flows };
    } finally {
      await agent.end();
    }
  }

  /**
   * Returns the flows that the agent reported, once it has reported every packet that it judged.
   */
  async function allTold(agent: RunningAgent): Promise<FlowLines> {
    const isDenial = ({ verdict }: { readonly verdict: string }) => verdict !== 'allow';
    const sum = (counts: readonly { readonly count: number }[]) =>
      counts.reduce((total, { count }) => total + count, 0);
    const deadline = performance.now() + PATIENCE;
    for (;;) {
      const told = await flowLines(lab.node(NODE));
      const metrics = await agent.metrics();
      const { series = [] } = metrics.families.get('podfence_packets_total') ?? {};
      // Copies may arrive late.
      const isAudit = metrics.sum('podfence_mode', { mode: 'audit' }) === 1;
      const taken = metrics.sum('podfence_copies_total', { outcome: 'taken' });
      if (isAudit && (taken === 0 || taken !== metrics.sum('podfence_packets_total'))) {
        if (performance.now() > deadline) throw new Error(`${taken} copies were taken, and not all of them judged`);
        continue;
      }
      const judged = series.filter(({ labels }) => labels.verdict !== 'allow');
      const denials = judged.reduce((total, { value }) => total + value, 0);
      if (sum(told.lines.filter(isDenial)) === denials) return told;
      if (performance.now() > deadline)
        throw new Error(`of ${denials} denials only these are reported: ${JSON.stringify(told)}`);
    }
  }

  describe.each([
    ['iptables', 'yes'],
    ['nftables', 'yes'],
    ['iptables', 'no'],
  ])('by %s, with --offload %s', (steering, offload) => {
    test('everything passes, and the agent reports exactly what enforcement then denies', async () => {
      const { results, flows } = await probeUnder('--mode', 'audit', '--steering', steering, '--offload', offload);
      expect(results.filter(({ observed }) => observed === 'deny')).toEqual([]);
      expect(flows.filter(({ verdict }) => verdict === 'deny')).toEqual([]);
      const wouldDeny = setOf(flows.filter(({ verdict }) => verdict === 'would_deny'));
      expect([...wouldDeny].sort()).toEqual([...denied].sort());
    });
  });
});

function setOf(flows: FlowLines['lines']): ReadonlySet<string> {
  return new Set(
    flows.map(({ from, to, protocol, port, direction, reason, policies }) => {
      const by = policies.map(({ namespace, name }) => `${namespace}/${name}`);
      return `${from.address} ${to.address} ${protocol} ${port}: ${direction} ${reason} ${by.join(' ')}`;
    }),
  );
}

function namespaceOf({ name, labels }: NamespaceRecord) {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

/** Returns the lab's pod as the API server has it. */
function podOf({ record, addresses, node }: LabPod) {
  const { namespace, name, labels, ports } = record;
  const containerPorts = ports.map(({ port, ...rest }) => ({ ...rest, containerPort: port }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels },
    spec: { nodeName: node, containers: [{ name: 'main', ports: containerPorts }] },
    status: { podIPs: addresses.map((ip) => ({ ip })) },
  };
}

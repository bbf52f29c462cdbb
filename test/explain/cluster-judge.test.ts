import { afterAll, describe, expect, test } from 'vitest';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import { ClusterJudge } from '../../src/explain/cluster-judge.ts';
import type { FlowEnd } from '../../src/explain/flow-end.ts';
import { NO_PORT, protocolNumber } from '../../src/explain/judgement.ts';
import { reasonOf as codeOf, rule } from '../../src/filter/decide.ts';
import { FIRST_DENY } from '../../src/filter/reasons.ts';
import { decode } from '../../src/packet/decode.ts';
import { openingPacket } from '../../src/packet/first-packets.ts';
import { Packet } from '../../src/packet/packet.ts';
import { addressWords } from '../../src/policy/address-words.ts';
import { type NodeIdentity, PolicyCompiler } from '../../src/policy/compiler.ts';
import { NODE } from '../policy/random-cluster.ts';
import { allow, ingressPolicy, matching, namespace, pod, set, tcp } from '../policy/records.ts';
import { evaluate } from '../reference/evaluator.ts';
import { endAt, onRandomClusters, podAt, type RandomFlow, randomFlow } from './random-flows.ts';

const FLOWS_A_CLUSTER = 150;

/** Runs `check` on flows of random clusters. */
function onRandomFlows(runs: number, check: (snapshot: ClusterSnapshot) => (flow: RandomFlow) => void): void {
  onRandomClusters(runs, (snapshot, pick) => {
    const checkFlow = check(snapshot);
    for (let i = 0; i < FLOWS_A_CLUSTER; i++) checkFlow(randomFlow(snapshot, pick));
  });
}

describe('every flow of a random cluster', () => {
  const verdicts = new Map<string, number>();
  afterAll(() => console.log(`cluster judge: ${JSON.stringify(Object.fromEntries(verdicts))}`));

  test('is judged in each direction as the naive evaluator judges it', () => {
    onRandomFlows(150, (snapshot) => {
      const judge = new ClusterJudge(snapshot);
      return (flow) => {
        const { from, to, protocol, port } = flow;
        const judgement = judge.judge(from, to, protocol, port);
        if (isSamePod(snapshot, from, to)) {
          expect(judgement).toEqual({ egress: 'allow', ingress: 'allow', verdict: 'allow', reason: 'same-pod' });
          return;
        }
        const number = protocolNumber(protocol, from.address.includes(':'));
        const expected = evaluate(snapshot, { source: from.address, destination: to.address, protocol: number, port });
        const words = { egress: word(expected.egress.allowed), ingress: word(expected.ingress.allowed) };
        if (judgement.egress !== words.egress || judgement.ingress !== words.ingress) {
          expect({ flow, ...judgement }).toEqual({ flow, ...words });
        }
        expect(judgement.reason).toBe(reasonOf(expected));
        expect(judgement.verdict).toBe(word(expected.egress.allowed && expected.ingress.allowed));
        const kind = `${words.egress} ${words.ingress}`;
        verdicts.set(kind, (verdicts.get(kind) ?? 0) + 1);
      };
    });
    for (const kind of ['allow allow', 'allow deny', 'deny allow', 'deny deny']) {
      expect(verdicts.get(kind)).toBeGreaterThan(10);
    }
  });

  test('passes exactly if the filters of the nodes on its path pass it', () => {
    const nodes: readonly NodeIdentity[] = [NODE, { name: 'there', addresses: ['192.0.2.1', '2001:db8::1'] }];
    let local = 0;
    onRandomFlows(100, (snapshot) => {
      const judge = new ClusterJudge(snapshot, { nodes });
      const tables = new Map(nodes.map((node) => [node.name, tableOf(node, snapshot)]));
      return (flow) => {
        const { from, to, protocol, port } = flow;
        if (isScheduled(from) && isScheduled(to)) {
          const judgement = judge.judge(from, to, protocol, port);
          if (judgement.reason === 'local-node') {
            // No filter sees it.
            local++;
            return;
          }
          const reasons = [from, to].map((end) => reasonOn(tables.get(nodeOf(end)), flow));
          expect({ flow, ...judgement }).toMatchObject({
            verdict: word(reasons.every((reason) => reason < FIRST_DENY)),
          });
        }
      };
    });
    expect(local).toBeGreaterThan(5);
  });
});

function isSamePod({ pods }: ClusterSnapshot, from: FlowEnd, to: FlowEnd): boolean {
  const pod = podAt(pods, from.address);
  return from.address === to.address || (pod !== undefined && pod === podAt(pods, to.address));
}

function word(allowed: boolean): 'allow' | 'deny' {
  return allowed ? 'allow' : 'deny';
}

function reasonOf({ egress, ingress }: ReturnType<typeof evaluate>): string {
  if (!egress.allowed) return 'egress-denied';
  if (!ingress.allowed) return 'ingress-denied';
  return egress.isolated || ingress.isolated ? 'allowed-by-policy' : 'not-isolated';
}

/** A pod without a node is enforced nowhere yet; it is judged as if it ran. */
function isScheduled(end: FlowEnd): boolean {
  return end.kind !== 'pod' || end.node !== undefined;
}

function nodeOf(end: FlowEnd): string {
  return end.kind === 'pod' ? (end.node ?? '') : '';
}

function tableOf(node: NodeIdentity, { namespaces, pods, policies }: ClusterSnapshot) {
  const compiler = new PolicyCompiler(node.name);
  compiler.apply(set(...namespaces, ...pods.map((each) => each), ...policies));
  return compiler.compile().table;
}

/** Returns the verdict of a node's filter. Without a node the packet passes. */
function reasonOn(table: ReturnType<typeof tableOf> | undefined, { from, to, protocol, port }: RandomFlow): number {
  if (table === undefined) return 0;
  const view = openingPacket({
    source: addressWords(from.address) ?? [],
    destination: addressWords(to.address) ?? [],
    protocol: protocolNumber(protocol, from.address.includes(':')),
    sourcePort: 5555,
    destinationPort: port,
  });
  const packet = new Packet();
  decode(packet, view, 0, view.byteLength);
  return codeOf(rule(table, packet));
}

describe('a flow', () => {
  const web = pod('web', '10.0.0.1', { app: 'web' });
  const db = pod('db', '10.0.0.2', { app: 'db' }, { nodeName: 'elsewhere' });
  const host = pod('host', '10.9.0.9', { app: 'web' }, { hostNetwork: true, nodeName: 'elsewhere' });
  const onlyWeb = ingressPolicy('db', [allow([{ podSelector: matching({ app: 'web' }) }], [tcp(80)])], {
    podSelector: matching({ app: 'db' }),
  });
  const snapshot: ClusterSnapshot = { namespaces: [namespace('default')], pods: [web, db, host], policies: [onlyWeb] };
  const at = (address: string) => endAt(snapshot, address);
  const judge = new ClusterJudge(snapshot);

  test('between a pod and its own node is always allowed, whichever begins', () => {
    const node: FlowEnd = { kind: 'node', name: 'elsewhere', address: '10.9.0.8' };
    expect(judge.judge(node, at('10.0.0.2'), 'TCP', 9)).toMatchObject({ verdict: 'allow', reason: 'local-node' });
    expect(judge.judge(at('10.0.0.2'), node, 'TCP', 9)).toMatchObject({ verdict: 'allow', reason: 'local-node' });
    // A pod in its node's network has the node's address.
    expect(judge.judge(at('10.9.0.9'), at('10.0.0.2'), 'TCP', 9)).toMatchObject({ reason: 'local-node' });
  });

  test('of a pod in the network of another node is judged, and no selector matches the pod', () => {
    const far: FlowEnd = { kind: 'node', name: 'third', address: '10.9.0.7' };
    expect(judge.judge(far, at('10.0.0.2'), 'TCP', 80)).toMatchObject({ verdict: 'deny', reason: 'ingress-denied' });
  });

  test('of ICMP is denied by rules with ports', () => {
    expect(judge.judge(at('10.0.0.1'), at('10.0.0.2'), 'TCP', 80).verdict).toBe('allow');
    expect(judge.judge(at('10.0.0.1'), at('10.0.0.2'), 'ICMP', NO_PORT).verdict).toBe('deny');
  });

  test('between address families does not exist', () => {
    expect(() => judge.judge(at('10.0.0.1'), at('fd00::1'), 'TCP', 80)).toThrow('different address families');
    expect(() => judge.judge(at('somewhere'), at('10.0.0.1'), 'TCP', 80)).toThrow('somewhere is not an IP address');
  });

  test('of a pod whose node has a table in force is judged by that table, and by the records at other nodes', () => {
    const denyAll = ingressPolicy('none', []);
    const before = tableOf({ name: 'elsewhere', addresses: [] }, { ...snapshot, policies: [denyAll] });
    const live = new ClusterJudge(snapshot, { inForce: { node: 'elsewhere', table: before } });
    expect(live.judge(at('10.0.0.1'), at('10.0.0.2'), 'TCP', 80)).toMatchObject({
      ingress: 'deny',
      reason: 'ingress-denied',
    });
    expect(live.judge(at('10.0.0.2'), at('10.0.0.1'), 'TCP', 80)).toMatchObject({
      verdict: 'allow',
      reason: 'not-isolated',
    });
    const after = tableOf({ name: 'elsewhere', addresses: [] }, { ...snapshot, policies: [] });
    const open = new ClusterJudge(snapshot, { inForce: { node: 'elsewhere', table: after } });
    expect(open.judge(at('10.0.0.1'), at('10.0.0.2'), 'TCP', 81)).toMatchObject({ ingress: 'allow' });
  });

  test('that such a node denies for egress still has the ingress verdict of the records', () => {
    const here = { name: 'here', addresses: [] };
    const both = (isolates: 'egress' | 'ingress') => ingressPolicy(isolates, [], { isolates: [isolates] });
    const policies = [both('egress'), both('ingress')];
    const pods = [web, { ...db, nodeName: here.name }];
    const table = tableOf(here, { ...snapshot, pods, policies });
    const live = new ClusterJudge({ ...snapshot, pods, policies }, { inForce: { node: here.name, table } });
    expect(live.judge(at('10.0.0.1'), endAt({ ...snapshot, pods }, '10.0.0.2'), 'TCP', 80)).toMatchObject({
      egress: 'deny',
      ingress: 'deny',
    });
  });
});

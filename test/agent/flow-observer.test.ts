import { afterEach, describe, expect, it, vi } from 'vitest';
import { FlowObserver } from '../../src/agent/flow-observer.ts';
import type { ClusterRecord, Direction, PodRecord } from '../../src/cluster/records.ts';
import { ALLOWED_BY_POLICY, FRAGMENT, INGRESS_DENIED, MID_STREAM, NOT_ISOLATED } from '../../src/filter/reasons.ts';
import type { FlowLine } from '../../src/flows/flow.ts';
import type { FlowEvent } from '../../src/flows/flow-events.ts';
import { FlowLog } from '../../src/flows/flow-log.ts';

const NODE = { name: 'here', addresses: ['10.0.1.1', 'fd00::1'] };
const EVERY_POD = { matchLabels: {}, matchExpressions: [] };
const [WEB, DB, FAR] = [0x0a000001, 0x0a000002, 0x0a000003];

function pod(name: string, address: string, nodeName = NODE.name, hostNetwork = false): PodRecord {
  return { kind: 'Pod', namespace: 'a', name, labels: {}, nodeName, addresses: [address], hostNetwork, ports: [] };
}

/** Isolates every pod and allows these ports, one rule each. */
function policy(name: string, direction: Direction, ...ports: readonly number[]): ClusterRecord {
  const rules = ports.map((port) => ({ peers: [], ports: [{ protocol: 'TCP', port } as const] }));
  return {
    ...{ kind: 'NetworkPolicy', namespace: 'a', name, podSelector: EVERY_POD, isolates: [direction] },
    ...{ ingress: [], egress: [], [direction]: rules },
  };
}

const PODS = [pod('web', '10.0.0.1'), pod('db', '10.0.0.2'), pod('far', '10.0.0.3', 'there')];

function event(source: number, destination: number, differences: Partial<FlowEvent> = {}): FlowEvent {
  const ends = { family: 4, protocol: 6, source: [source], destination: [destination], sourcePort: 4000 } as const;
  return { ...ends, destinationPort: 80, reason: INGRESS_DENIED, direction: 1, audited: false, ...differences };
}

/** An observer with workers that report these events to it. */
class Observed {
  readonly log = new FlowLog();
  readonly observer = new FlowObserver({ node: NODE, log: this.log, byPolicy: false });
  readonly events: FlowEvent[] = [];
  /** The options of its reads. */
  readonly reads: { milliseconds: number; rest: string }[] = [];
  lost = 0;

  constructor(...records: readonly ClusterRecord[]) {
    this.set(...records);
    this.observer.start({
      drainFlowEvents: (take, options) => {
        this.reads.push(options);
        for (const each of this.events.splice(0)) take(each);
        return this.lost;
      },
    });
  }

  set(...records: readonly ClusterRecord[]): void {
    this.observer.apply(records.map((record) => ({ type: 'set', record })));
  }

  lines(...events: readonly FlowEvent[]) {
    this.events.push(...events);
    this.observer.policyFlows();
    return this.log.open({})?.take(1000) ?? [];
  }
}

const observed: Observed[] = [];
function observe(...records: readonly ClusterRecord[]): Observed {
  const one = new Observed(...records);
  observed.push(one);
  return one;
}
afterEach(() => {
  for (const { observer } of observed.splice(0)) observer.stop();
  vi.useRealTimers();
});

describe('the observer of flows', () => {
  it('names pods, nodes and addresses', () => {
    const one = observe(...PODS, pod('proxy', '10.0.1.2', 'there', true));
    const [, ...others] = [0, 0x0a000101, 0x0a000102, 0x08080808].map((source) => event(source, DB));
    const sixth = event(0, 0, { family: 6, source: [0xfd000000 | 0, 0, 0, 1], destination: [0xfd000000 | 0, 0, 0, 9] });
    expect(one.lines(...others, sixth).map(({ from }) => from)).toEqual([
      { kind: 'node', name: 'here', address: '10.0.1.1' },
      { kind: 'node', name: 'there', address: '10.0.1.2' },
      { kind: 'address', address: '8.8.8.8' },
      { kind: 'node', name: 'here', address: 'fd00::1' },
    ]);
    expect(one.lines()[0]?.to).toEqual({ kind: 'pod', namespace: 'a', name: 'db', address: '10.0.0.2', node: 'here' });
  });

  it('attributes an allowed flow to the first rule of each policy that allows it, on the side of this node', () => {
    const one = observe(...PODS, policy('out', 'egress', 1, 80, 80), policy('in', 'ingress', 80));
    const allowed = { reason: ALLOWED_BY_POLICY, direction: 0 };
    const by = one
      .lines(event(WEB, DB, allowed), event(WEB, FAR, allowed), event(FAR, DB, allowed))
      .map(({ policies }) => policies.map(({ name, rule, field }) => `${name} ${field} ${rule}`));
    expect(by).toEqual([
      ['out spec.egress[1] 2', 'in spec.ingress[0] 1'],
      ['out spec.egress[1] 2'],
      ['in spec.ingress[0] 1'],
    ]);
  });

  it('attributes a flow that would be denied to the audited policies, and a denied one never to them', () => {
    const audited = (name: string) => ({ ...policy(name, 'ingress'), mode: 'audit' }) as const;
    const line = ({ verdict, count, policies }: FlowLine) => [verdict, count, policies.map(({ name }) => name)];
    const wouldDeny = event(WEB, DB, { audited: true });
    const alone = observe(...PODS, audited('x'), audited('y'));
    expect(alone.lines(wouldDeny, wouldDeny).map(line)).toEqual([['would_deny', 2, ['x', 'y']]]);
    const beside = observe(...PODS, audited('x'), policy('y', 'ingress'));
    expect(beside.lines(event(WEB, DB)).map(line)).toEqual([['deny', 1, ['y']]]);
    const namespace = { kind: 'Namespace', name: 'a', labels: {}, mode: 'audit' } as const;
    const all = observe(...PODS, namespace, policy('x', 'ingress'));
    expect(all.lines(wouldDeny).map(line)).toEqual([['would_deny', 1, ['x']]]);
    expect(all.lines(wouldDeny, event(WEB, DB)).map(line).slice(1)).toEqual([['deny', 1, ['x']]]);
  });

  it('attributes a denied flow to all policies that isolate, by name, and a flow that policies do not decide to none', () => {
    const one = observe(...PODS, policy('y', 'ingress'), policy('x', 'ingress'), policy('z', 'egress'));
    const reasons = [INGRESS_DENIED, FRAGMENT, MID_STREAM, NOT_ISOLATED];
    const lines = one.lines(...reasons.map((reason) => event(WEB, DB, { reason })));
    expect(lines.map(({ verdict, reason, policies }) => [verdict, reason, policies.map(({ name }) => name)])).toEqual([
      ['deny', 'ingress-denied', ['x', 'y']],
      ['deny', 'fragment', ['x', 'y']],
      ['deny', 'mid-stream', []],
      ['allow', 'not-isolated', []],
    ]);
  });

  it('names protocols, and gives ports if there are any', () => {
    const one = observe(...PODS);
    const lines = one.lines(
      event(WEB, DB, { protocol: 17 }),
      event(WEB, DB, { protocol: 1, sourcePort: 77, destinationPort: 77 }),
      event(WEB, DB, { protocol: 1, sourcePort: 78, destinationPort: 78 }),
      event(WEB, DB, { protocol: 47, sourcePort: -1, destinationPort: -1 }),
      event(WEB, DB, { reason: FRAGMENT, sourcePort: -1, destinationPort: -1 }),
    );
    expect(lines.map(({ protocol, port, sourcePort, count }) => [protocol, port, sourcePort, count])).toEqual([
      ['UDP', 80, 4000, 1],
      ['ICMP', null, null, 2],
      ['47', null, null, 1],
      ['TCP', null, null, 1],
    ]);
  });

  it('names a pod whose record comes late, and never uses the name of a pod that started later', () => {
    const now = Date.now() / 1000;
    const late = (name: string, startedAt: number) => ({ ...pod(name, '10.0.0.9'), startedAt });
    const seen = event(0x0a000009, DB);
    const names = ({ from }: FlowLine) => (from.kind === 'pod' ? from.name : from.address);
    const one = observe(...PODS);
    expect(one.lines(seen).map(names)).toEqual(['10.0.0.9']);
    one.set(late('after', now + 60));
    expect(one.lines().map(names)).toEqual(['10.0.0.9']);
    const other = observe(...PODS);
    other.lines(seen);
    other.set(late('late', now - 60));
    expect(other.lines().map(names)).toEqual(['late']);
    other.set({ ...late('late', now - 60), addresses: [] }, late('next', now - 30));
    expect(other.lines(seen).map(names)).toEqual(['late', 'next']);
    const unknown = observe(...PODS);
    unknown.lines(seen);
    unknown.set(pod('nobody knows when', '10.0.0.9'));
    expect(unknown.lines().map(names)).toEqual(['10.0.0.9']);
  });

  it('describes events from before a change as things were then, and skips those that there is no time for', () => {
    const one = observe(...PODS, policy('in', 'ingress'));
    one.events.push(event(WEB, DB));
    one.set(policy('more', 'ingress'));
    expect(one.reads.map(({ rest }) => rest)).toEqual(['skip']);
    expect(one.lines()[0]?.policies.map(({ name }) => name)).toEqual(['in']);
    expect(one.lines(event(WEB, DB))[1]?.policies.map(({ name }) => name)).toEqual(['in', 'more']);
  });

  it('reads in short turns, keeps what is left, and counts what was lost', () => {
    vi.useFakeTimers();
    const one = observe(...PODS);
    one.lost = 7;
    vi.advanceTimersByTime(1000);
    expect(one.reads).toEqual(Array.from({ length: 4 }, () => ({ milliseconds: 5, rest: 'keep' })));
    expect(one.log.leftOut).toBe(28);
    one.observer.stop();
    vi.advanceTimersByTime(1000);
    expect(one.reads).toHaveLength(4);
  });
});

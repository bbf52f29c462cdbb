import { describe, expect, it } from 'vitest';
import type { ClusterRecord, Direction, PolicyRecord } from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { ALLOWED_BY_POLICY, EGRESS_DENIED, INGRESS_DENIED } from '../../src/filter/reasons.ts';
import type { FlowEvent } from '../../src/flows/flow-events.ts';
import { PolicyFlowCounter } from '../../src/flows/policy-flow-counter.ts';
import { Attribution } from '../../src/policy/attribution.ts';

const EVERYTHING = { matchLabels: {}, matchExpressions: [] };
const [WEB, DB] = [0x0a000001, 0x0a000002];

function pod(name: string, address: string): ClusterRecord {
  const where = { namespace: 'a', nodeName: 'n', addresses: [address], hostNetwork: false };
  return { kind: 'Pod', name, labels: { app: name }, ports: [], ...where };
}

/**
 * Returns a policy that isolates a pod for one direction, and allows every peer on one port, or
 * nothing.
 */
function policy(name: string, app: string, direction: Direction, port?: number): PolicyRecord {
  const rules = port === undefined ? [] : [{ peers: [], ports: [{ protocol: 'TCP', port } as const] }];
  return {
    ...{ kind: 'NetworkPolicy', namespace: 'a', name, isolates: [direction], ingress: [], egress: [] },
    podSelector: { ...EVERYTHING, matchLabels: { app } },
    [direction]: rules,
  };
}

function flow(reason: number, direction: 0 | 1, port: number, sourcePort = 1): FlowEvent {
  const addresses = { source: [WEB], destination: [DB] };
  return { family: 4, protocol: 6, ...addresses, sourcePort, destinationPort: port, reason, direction, audited: false };
}

let attribution: Attribution;

function counterOf(...records: readonly ClusterRecord[]): PolicyFlowCounter {
  attribution = new Attribution();
  const counter = new PolicyFlowCounter(attribution);
  const pods = [pod('web', '10.0.0.1'), pod('db', '10.0.0.2')];
  apply(
    counter,
    [...pods, ...records].map((record) => ({ type: 'set', record })),
  );
  return counter;
}

function apply(counter: PolicyFlowCounter, changes: readonly ClusterChange[]): void {
  attribution.apply(changes);
  counter.apply(changes);
}

function counts(counter: PolicyFlowCounter): string[] {
  return [...counter.counts()].map(({ name, allowed, denied }) => `${name} +${allowed} -${denied}`);
}

describe('flows by policy', () => {
  it('that are allowed count for every policy that allows them, in both directions', () => {
    const policies = [
      policy('out', 'web', 'egress', 80),
      policy('in', 'db', 'ingress', 80),
      policy('in-81', 'db', 'ingress', 81),
    ];
    const counter = counterOf(...policies);
    counter.count(flow(ALLOWED_BY_POLICY, 0, 80));
    expect(counts(counter)).toEqual(['out +1 -0', 'in +1 -0', 'in-81 +0 -0']);
  });

  it('that are denied count for every policy that isolates the pod in the denied direction', () => {
    const counter = counterOf(
      policy('out', 'web', 'egress'),
      policy('in', 'db', 'ingress', 80),
      policy('in-81', 'db', 'ingress', 81),
    );
    counter.count(flow(EGRESS_DENIED, 0, 80));
    counter.count(flow(INGRESS_DENIED, 1, 82));
    expect(counts(counter)).toEqual(['out +0 -1', 'in +0 -1', 'in-81 +0 -1']);
  });

  it('that only audited policies would deny count for those, separately from denials', () => {
    const audited = { ...policy('in', 'db', 'ingress', 80), mode: 'audit' } as const;
    const counter = counterOf(audited);
    counter.count({ ...flow(INGRESS_DENIED, 1, 82), audited: true });
    counter.count({ ...flow(INGRESS_DENIED, 1, 82), audited: true });
    expect([...counter.counts()]).toMatchObject([{ name: 'in', allowed: 0, denied: 0, wouldBeDenied: 1 }]);
    apply(counter, [{ type: 'set', record: policy('in', 'db', 'ingress', 80) }]);
    counter.count(flow(INGRESS_DENIED, 1, 82));
    expect([...counter.counts()]).toMatchObject([{ name: 'in', denied: 1, wouldBeDenied: 1 }]);
  });

  it('count once, however often a denied sender tries', () => {
    const counter = counterOf(policy('in', 'db', 'ingress'));
    for (let i = 0; i < 3; i++) counter.count(flow(INGRESS_DENIED, 1, 80));
    counter.count(flow(INGRESS_DENIED, 1, 80, 2));
    expect(counts(counter)).toEqual(['in +0 -2']);
  });

  it('go on counting for an edited policy, and end with a deleted one', () => {
    const counter = counterOf(policy('in', 'db', 'ingress'));
    counter.count(flow(INGRESS_DENIED, 1, 80));
    apply(counter, [{ type: 'set', record: policy('in', 'db', 'ingress', 80) }]);
    counter.count(flow(ALLOWED_BY_POLICY, 1, 80));
    expect(counts(counter)).toEqual(['in +1 -1']);
    apply(counter, [{ type: 'delete', record: policy('in', 'db', 'ingress') }]);
    expect(counts(counter)).toEqual([]);
  });
});

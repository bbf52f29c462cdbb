/**
 * A small cluster with a filter on its node, so that a case fits on one line: policies, a packet,
 * and the reason of its verdict.
 */

import type {
  ClusterRecord,
  PodRecord,
  PolicyPeer,
  PolicyPort,
  PolicyRecord,
  PolicyRule,
} from '../../src/cluster/records.ts';
import { FlowTable } from '../../src/conntrack/flow-table.ts';
import { Filter } from '../../src/filter/filter.ts';
import { REASONS, type ReasonName } from '../../src/filter/reasons.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import type { RuleTable } from '../../src/policy/rule-table.ts';
import { viewOf } from '../packet/build.ts';

export const NODE = '10.0.0.254';
export const NODE6 = 'fd00::fe';
/**
 * Pods of this node, except `far`, which is on another one. Each also has the IPv6 address fd00::
 * plus the last octet.
 */
export const WEB = '10.0.0.1';
export const WEB6 = 'fd00::1';
export const DB = '10.0.0.2';
export const DB6 = 'fd00::2';
export const IDLE = '10.0.0.3';
export const FAR = '10.0.1.9';
export const FAR6 = 'fd00::9';
export const OUTSIDE = '198.51.100.7';
export const OUTSIDE6 = '2001:db8::7';

const pod = (name: string, address: string, address6: string, nodeName = 'here'): PodRecord => ({
  kind: 'Pod',
  namespace: 'default',
  name,
  labels: { app: name },
  nodeName,
  addresses: [address, address6],
  hostNetwork: false,
  ports: [],
});

export const CLUSTER: readonly ClusterRecord[] = [
  { kind: 'Namespace', name: 'default', labels: { 'kubernetes.io/metadata.name': 'default' } },
  pod('web', WEB, WEB6),
  pod('db', DB, DB6),
  pod('idle', IDLE, 'fd00::3'),
  pod('far', FAR, FAR6, 'there'),
];

const selector = (app: string) => ({ matchLabels: { app }, matchExpressions: [] });
export const from = (app: string): PolicyPeer => ({ podSelector: selector(app) });
export const port = (number: number, protocol: PolicyPort['protocol'] = 'TCP'): PolicyPort => ({
  protocol,
  port: number,
});
export const rule = (peers: readonly PolicyPeer[] = [], ports: readonly PolicyPort[] = []): PolicyRule => ({
  peers,
  ports,
});

/** Returns a policy that isolates one pod for the directions whose rules are given. */
export function policy(app: string, rules: { ingress?: PolicyRule[]; egress?: PolicyRule[] }): PolicyRecord {
  return {
    kind: 'NetworkPolicy',
    namespace: 'default',
    name: `${app}-${Object.keys(rules).join('-')}`,
    podSelector: selector(app),
    isolates: [...(rules.ingress ? (['ingress'] as const) : []), ...(rules.egress ? (['egress'] as const) : [])],
    ingress: rules.ingress ?? [],
    egress: rules.egress ?? [],
  };
}

/** Returns the same policy, audited. */
export function audited(policy: PolicyRecord): PolicyRecord {
  return { ...policy, mode: 'audit' };
}

export class Scene {
  readonly filter: Filter;
  /** The coarse clock. */
  now = 1000;
  readonly #compiler = new PolicyCompiler('here');
  #policies: readonly PolicyRecord[] = [];

  constructor(policies: readonly PolicyRecord[] = [], capacity = 64) {
    this.#compiler.apply(CLUSTER.map((record) => ({ type: 'set', record })));
    this.filter = new Filter(new FlowTable(capacity, {}, [1, 2]), this.#compile(policies));
  }

  /** Uses exactly these policies from the next packet on. */
  setPolicies(policies: readonly PolicyRecord[]): void {
    this.filter.useTable(this.#compile(policies));
  }

  /** Judges a packet that was captured whole. */
  judge(bytes: Uint8Array): ReasonName {
    return REASONS[this.filter.judge(viewOf(bytes), 0, bytes.length, bytes.length, this.now)] as ReasonName;
  }

  judgeAll(...packets: Uint8Array[]): ReasonName[] {
    return packets.map((bytes) => this.judge(bytes));
  }

  get direction(): 'egress' | 'ingress' {
    return this.filter.direction === 0 ? 'egress' : 'ingress';
  }

  /**
   * Returns the reason of a packet's verdict, in brackets if only audited policies deny it, so that
   * it passes.
   */
  judgeAudited(bytes: Uint8Array): string {
    const reason = this.judge(bytes);
    return this.filter.isAudited ? `(${reason})` : reason;
  }

  get flows(): number {
    return this.filter.flows.size;
  }

  #compile(policies: readonly PolicyRecord[]): RuleTable {
    this.#compiler.apply(this.#policies.map((record) => ({ type: 'delete', record })));
    this.#compiler.apply(policies.map((record) => ({ type: 'set', record })));
    this.#policies = policies;
    return this.#compiler.compile().table;
  }
}

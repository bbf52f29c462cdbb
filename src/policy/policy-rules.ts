/** Compiles the rules of policies: interned port sets and peers, and prefixes instead of texts. */

import type { Direction, PolicyPeer, PolicyRule } from '../cluster/records.ts';
import { blockPrefixes } from './address-words.ts';
import type { Block } from './cidr.ts';
import type { Namespace, Policy, Rule } from './model.ts';
import type { PeerGroups } from './peer-groups.ts';
import { inPieces, type Pieces } from './pieces.ts';
import type { PortSets } from './port-set.ts';
import { type DirectionIndex, EGRESS } from './rule-table.ts';

/** Learns which policies begin or cease to select an endpoint of this node. */
interface RelevanceObserver {
  add(policy: Policy): void;
  remove(policy: Policy): void;
}

export class PolicyRules {
  private readonly groups: PeerGroups;
  private readonly portSets: PortSets;
  private readonly relevant = new Set<Policy>();

  private readonly observer: RelevanceObserver;

  constructor(groups: PeerGroups, portSets: PortSets, observer: RelevanceObserver) {
    this.groups = groups;
    this.portSets = portSets;
    this.observer = observer;
  }

  /** Compiles a policy on its first use, in pieces. Its rules are complete after the last piece. */
  *retain(policy: Policy): Pieces {
    if (policy.users++ > 0) return;
    policy.rules = [[], []];
    this.relevant.add(policy);
    for (const [into, direction] of [
      [policy.rules[0], 'egress'],
      [policy.rules[1], 'ingress'],
    ] as const)
      yield* this.compile(policy, direction, into);
    this.observer.add(policy);
  }

  release(policy: Policy): void {
    if (--policy.users > 0) return;
    for (const rule of policy.rules?.flat() ?? []) {
      for (const peer of rule.peers) this.groups.release(peer);
    }
    policy.rules = undefined;
    this.relevant.delete(policy);
    this.observer.remove(policy);
  }

  /** Adds the port sets in use to `live`. */
  markPortSets(live: Set<number>): void {
    for (const policy of this.relevant) {
      for (const rule of policy.rules?.flat() ?? []) live.add(rule.ports);
    }
  }

  private *compile({ record, namespace }: Policy, direction: Direction, into: Rule[]): Pieces {
    // A policy that could not be understood isolates its pods and allows nothing.
    if (record.error !== undefined || !record.isolates.includes(direction)) return;
    yield* inPieces(record[direction], (rule) => into.push(this.compileRule(rule, namespace)));
  }

  private compileRule({ peers, ports: list }: PolicyRule, namespace: Namespace): Rule {
    const ports = this.portSets.ofRule(list);
    return {
      ports,
      anyPeer: peers.length === 0,
      peers: peers.filter(isSelector).map((peer) => this.groups.retain(peer, namespace)),
      blocks: peers.flatMap(({ ipBlock }): readonly Block[] => {
        const prefixes = ipBlock && blockPrefixes(ipBlock);
        return prefixes === undefined ? [] : [{ ...prefixes, ports }];
      }),
    };
  }
}

function isSelector({ ipBlock, namespaceSelector, podSelector }: PolicyPeer): boolean {
  return ipBlock === undefined && (namespaceSelector !== undefined || podSelector !== undefined);
}

/** Returns the name that records use for a direction of the table. */
export function directionName(direction: DirectionIndex): Direction {
  return direction === EGRESS ? 'egress' : 'ingress';
}

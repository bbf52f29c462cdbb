/**
 * All checks of one node, from the facts that could be gathered. A fact that was not gathered is
 * undefined, and its checks are left out.
 */
import { type BridgeFacts, type BridgeSwitches, bridgeFilter } from './bridges.ts';
import type { Presence } from './enforcers.ts';
import { bySeverity, type Finding, finding } from './finding.ts';
import { flowTables } from './flow-tables.ts';
import { abilities, type SteeringInForce, type SteeringSurvey, steering, type Trial } from './kernel-abilities.ts';
import { desktopKernel, firstPackets, parseRelease } from './kernel-release.ts';
import { kubeProxy, type ProxyFacts } from './kube-proxy.ts';
import { markBits } from './mark-bits.ts';
import { type MemoryFacts, memoryLimit } from './memory.ts';
import { nri, type RuntimeFacts } from './nri.ts';
import { enforcersByRules } from './other-enforcers.ts';
import { type QueueRange, queues, type ReadQueue } from './queues.ts';
import type { RuleFacts, RuleKind } from './rule-dumps.ts';

export interface NodeFacts {
  /** `uname -r`. */
  readonly release: string;
  readonly presence: Presence;
  readonly trials?: readonly Trial[];
  readonly steering?: SteeringSurvey;
  /** How the calling agent steers. */
  readonly inForce?: SteeringInForce;
  readonly bridges?: { readonly bridges: readonly BridgeFacts[]; readonly switches: BridgeSwitches };
  readonly proxy?: ProxyFacts;
  readonly rules?: RuleFacts;
  /** Whether `rules` contains all rules, or only names of tables and chains. */
  readonly rulesComplete?: boolean;
  /** Kinds whose rules could not be read, or not completely. @default none */
  readonly unread?: ReadonlySet<RuleKind>;
  readonly queues?: readonly ReadQueue[];
  readonly ourQueues?: QueueRange;
  readonly runtime?: RuntimeFacts;
  readonly memory?: MemoryFacts;
  /** What was tried but could not be checked, as sentences. */
  readonly failures?: readonly string[];
}

export function nodeFindings(facts: NodeFacts): Finding[] {
  const { release, presence, rules, unread, bridges, runtime } = facts;
  const found: Finding[] = [];
  const parsed = parseRelease(release);
  if (parsed !== undefined) found.push(firstPackets(parsed, facts.inForce ?? facts.steering), ...desktopKernel(parsed));
  if (facts.steering !== undefined) found.push(steering(facts.steering));
  if (facts.trials !== undefined) found.push(...abilities(facts.trials));
  if (bridges !== undefined) found.push(...bridgeFilter(bridges.bridges, bridges.switches));
  if (facts.proxy !== undefined) found.push(...kubeProxy(facts.proxy));
  if (rules !== undefined) found.push(...flowTables(rules, unread), ...enforcersByRules(rules, presence, unread));
  if (rules !== undefined && facts.rulesComplete) found.push(...markBits(rules.marks));
  if (facts.queues !== undefined) {
    const { ourQueues: ours, queues: read } = facts;
    found.push(
      ...queues({
        read,
        presence,
        ...(rules !== undefined && facts.rulesComplete && { rules: rules.queues }),
        ...(ours !== undefined && { ours }),
      }),
    );
  }
  if (runtime !== undefined) found.push(...nri(runtime));
  if (facts.memory !== undefined) found.push(memoryLimit(facts.memory));
  found.push(...(facts.failures ?? []).map((failure) => finding('not-looked', 'info', 'certain', failure)));
  return bySeverity(found);
}

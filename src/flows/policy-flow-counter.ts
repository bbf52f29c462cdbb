/**
 * Counts allowed, denied and would-be-denied flows of each policy, from the events of the workers.
 */
import { LRUCache } from 'lru-cache';
import { type Direction, recordKey } from '../cluster/records.ts';
import type { ClusterChange } from '../cluster/store.ts';
import { ALLOWED_BY_POLICY, EGRESS_DENIED, INGRESS_DENIED } from '../filter/reasons.ts';
import { addressText } from '../policy/address-words.ts';
import type { AttributedFlow, Attribution } from '../policy/attribution.ts';
import type { FlowEvent } from './flow-events.ts';

/** In ms: attempts of a sender within this time count as one denied flow. */
const SAME_FLOW = 60_000;
/** Most denied flows remembered for that. */
const REMEMBERED = 16_384;

export interface PolicyFlowCount {
  readonly namespace: string;
  readonly name: string;
  allowed: number;
  denied: number;
  /** Would be denied if the policy were enforced instead of audited. */
  wouldBeDenied: number;
}

export class PolicyFlowCounter {
  readonly #attribution: Attribution;
  readonly #counts = new Map<string, PolicyFlowCount>();
  readonly #denied = new LRUCache<string, true>({ max: REMEMBERED, ttl: SAME_FLOW });

  /** @param attribution has applied the same changes before `apply` gets them */
  constructor(attribution: Attribution) {
    this.#attribution = attribution;
  }

  apply(changes: readonly ClusterChange[]): void {
    for (const { type, record } of changes) {
      if (record.kind !== 'NetworkPolicy') continue;
      const key = recordKey(record);
      if (type === 'delete') this.#counts.delete(key);
      else if (!this.#counts.has(key)) {
        this.#counts.set(key, {
          namespace: record.namespace,
          name: record.name,
          allowed: 0,
          denied: 0,
          wouldBeDenied: 0,
        });
      }
    }
  }

  /**
   * A denied flow counts for every policy that isolates the pod in that direction, an allowed one
   * for those that allow it.
   */
  count(event: FlowEvent): void {
    const flow: AttributedFlow = {
      source: addressText(event.source),
      destination: addressText(event.destination),
      protocol: event.protocol,
      port: event.destinationPort,
    };
    if (event.reason === ALLOWED_BY_POLICY) {
      for (const direction of ['egress', 'ingress'] as const) {
        for (const policy of this.#attribution.allowing(flow, direction)) this.#increase(recordKey(policy), 'allowed');
      }
    }
    if (event.reason !== EGRESS_DENIED && event.reason !== INGRESS_DENIED) return;
    const direction: Direction = event.direction === 0 ? 'egress' : 'ingress';
    const key = `${event.audited} ${direction} ${flow.protocol} ${flow.source} ${event.sourcePort} ${flow.destination} ${flow.port}`;
    if (this.#denied.has(key)) return;
    this.#denied.set(key, true);
    const address = direction === 'egress' ? flow.source : flow.destination;
    const verdict = event.audited ? 'wouldBeDenied' : 'denied';
    for (const policy of this.#attribution.isolating(address, direction)) this.#increase(recordKey(policy), verdict);
  }

  /** Returns the counts of all existing policies. */
  counts(): Iterable<PolicyFlowCount> {
    return this.#counts.values();
  }

  #increase(key: string, verdict: 'allowed' | 'denied' | 'wouldBeDenied'): void {
    const count = this.#counts.get(key);
    if (count !== undefined) count[verdict]++;
  }
}

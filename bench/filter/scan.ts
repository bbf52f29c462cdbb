/**
 * The baseline for the compiled table: scans the same policies for every new flow, in the simplest
 * way. It is not made slower than need be: a map finds pods by address, and nothing is parsed.
 */
import type { ClusterRecord, PodRecord, PolicyPeer, PolicyPort, PolicyRecord } from '../../src/cluster/records.ts';
import { matchesSelector } from '../../src/cluster/selector.ts';
import { words } from '../../test/packet/build.ts';

export class PolicyScan {
  readonly #pods = new Map<number, PodRecord>();
  readonly #policies = new Map<string, PolicyRecord[]>();

  constructor(records: readonly ClusterRecord[]) {
    for (const record of records) {
      if (record.kind === 'Pod') {
        for (const address of record.addresses) this.#pods.set(words(address)[0] as number, record);
      } else if (record.kind === 'NetworkPolicy') {
        const policies = this.#policies.get(record.namespace);
        if (policies === undefined) this.#policies.set(record.namespace, [record]);
        else policies.push(record);
      }
    }
  }

  /** Whether ingress of the destination allows a TCP connection. */
  allows(source: number, destination: number, port: number): boolean {
    const pod = this.#pods.get(destination);
    if (pod === undefined) return true;
    const peer = this.#pods.get(source);
    let isolated = false;
    for (const policy of this.#policies.get(pod.namespace) ?? []) {
      if (!policy.isolates.includes('ingress') || !matchesSelector(policy.podSelector, pod.labels)) continue;
      isolated = true;
      for (const { peers, ports } of policy.ingress) {
        const holds = peers.length === 0 || peers.some((each) => isPeer(each, peer));
        if (holds && (ports.length === 0 || ports.some((each) => isPort(each, port)))) return true;
      }
    }
    return !isolated;
  }
}

function isPeer({ podSelector }: PolicyPeer, pod: PodRecord | undefined): boolean {
  return pod !== undefined && podSelector !== undefined && matchesSelector(podSelector, pod.labels);
}

function isPort(allowed: PolicyPort, port: number): boolean {
  return allowed.protocol === 'TCP' && allowed.port === port;
}

/** Finds pods that may connect to others by name, but may not ask DNS for the address. */
import { isMistake, parseCidr } from '../cluster/addresses.ts';
import type {
  LabelSelector,
  PodRecord,
  PolicyMode,
  PolicyPeer,
  PolicyPort,
  PolicyRecord,
  PolicyRule,
} from '../cluster/records.ts';
import type { Mistake } from './finding.ts';
import type { KnownCluster } from './known-cluster.ts';

/** 53, and container ports behind a DNS Service: 5353 on OpenShift, 1053 or 8053 elsewhere. */
const DNS_PORTS: readonly number[] = [53, 5353, 1053, 8053];

export function isDnsPort(port: number): boolean {
  return DNS_PORTS.includes(port);
}

/**
 * A block with a shorter prefix than this stands for the world outside, which pods reach by name,
 * not for known hosts.
 */
const WIDE_BLOCK = { IPv4: 8, IPv6: 16 };

export class DnsRule {
  readonly #cluster: KnownCluster;
  readonly #allowed: Readonly<Record<PolicyMode, Map<PodRecord, boolean>>> = { enforce: new Map(), audit: new Map() };
  /** By namespace. */
  readonly #mayAllow: Readonly<Record<PolicyMode, Map<string, boolean>>> = { enforce: new Map(), audit: new Map() };

  constructor(cluster: KnownCluster) {
    this.#cluster = cluster;
  }

  *mistakes(policy: PolicyRecord): Iterable<Mistake> {
    const { egress, isolates } = policy;
    if (!isolates.includes('egress') || allowsDns(policy) || !egress.some(needsNames)) return;
    const pods = this.#cluster.selectedBy(policy);
    const without = pods.find((pod) => !this.#mayAsk(pod, this.#cluster.modeOf(policy)));
    if (pods.length === 0 ? this.#othersMayAllow(policy) : without === undefined) return;
    const who = without === undefined ? 'its pods' : `${without.namespace}/${without.name}`;
    const byTcp = egress.some((rule) => rule.ports.some(({ protocol, port }) => protocol === 'TCP' && port === 53));
    yield {
      rule: 'egress-without-dns',
      path: ['spec', 'egress'],
      message: byTcp
        ? `${who} may ask DNS by TCP only, but resolvers use UDP first`
        : `${who} may connect to others, but may not ask DNS for their addresses`,
      hint: 'Allow UDP and TCP port 53 to the DNS pods (k8s-app: kube-dns in kube-system).',
    };
  }

  /** Whether a policy lets the pod ask DNS, of those that count beside a policy of this mode. */
  #mayAsk(pod: PodRecord, mode: PolicyMode): boolean {
    let allowed = this.#allowed[mode].get(pod);
    if (allowed === undefined) {
      const policies = this.#cluster.policiesSelecting(pod.namespace, pod.labels);
      allowed = policies.some((policy) => this.#countsBeside(policy, mode) && allowsDns(policy));
      this.#allowed[mode].set(pod, allowed);
    }
    return allowed;
  }

  /** Whether any policy of the namespace allows DNS: it may select the same pods. */
  #othersMayAllow(policy: PolicyRecord): boolean {
    const { namespace } = policy;
    const mode = this.#cluster.modeOf(policy);
    let mayAllow = this.#mayAllow[mode].get(namespace);
    if (mayAllow === undefined) {
      const policies = this.#cluster.policiesIn(namespace);
      mayAllow = policies.some((each) => this.#countsBeside(each, mode) && allowsDns(each));
      this.#mayAllow[mode].set(namespace, mayAllow);
    }
    return mayAllow;
  }

  /**
   * Whether a policy counts beside one of this mode. An audited policy allows nothing beside
   * enforced ones. Beside an audited one all count, because it would be enforced together with
   * them.
   */
  #countsBeside(policy: PolicyRecord, mode: PolicyMode): boolean {
    return mode === 'audit' || this.#cluster.modeOf(policy) === 'enforce';
  }
}

function allowsDns({ isolates, egress, namespace }: PolicyRecord): boolean {
  if (!isolates.includes('egress')) return false;
  return egress.some(({ peers, ports }) => {
    // A rule for DNS's port means DNS, wherever in the cluster that is.
    if (ports.length > 0) return ports.some(isForDns);
    return peers.length === 0 || peers.some((peer) => mayBeDns(peer, namespace));
  });
}

/** Whether the peer may be the cluster's DNS, whose namespace and labels are unknown. */
function mayBeDns({ podSelector, namespaceSelector, ipBlock }: PolicyPeer, namespace: string): boolean {
  if (ipBlock !== undefined) return true;
  if (podSelector !== undefined && !mayMeanDns(podSelector)) return false;
  return namespaceSelector === undefined ? NAMES_OF_DNS.test(namespace) : mayMeanDns(namespaceSelector);
}

const NAMES_OF_DNS = /dns|system/i;

/** Whether a selector may mean DNS: it asks for no values, or for one that sounds like DNS. */
function mayMeanDns({ matchLabels, matchExpressions }: LabelSelector): boolean {
  const asked = matchExpressions.filter(({ operator }) => operator === 'In').flatMap(({ values }) => values);
  const values = [...Object.values(matchLabels), ...asked];
  return values.length === 0 || values.some((value) => NAMES_OF_DNS.test(value));
}

function isForDns({ protocol, port, endPort }: PolicyPort): boolean {
  if (protocol !== 'UDP') return false;
  if (port === undefined) return true;
  // The destination pod decides the number of a named port.
  if (typeof port === 'string') return true;
  return DNS_PORTS.some((dns) => dns >= port && dns <= (endPort ?? port));
}

/** Whether a rule needs DNS: for pods, reached by Service names, but hardly for given addresses. */
function needsNames({ peers }: PolicyRule): boolean {
  return peers.length === 0 || peers.some(isReachedByName);
}

function isReachedByName({ ipBlock }: PolicyPeer): boolean {
  if (ipBlock === undefined) return true;
  const cidr = parseCidr(ipBlock.cidr);
  return !isMistake(cidr) && cidr.prefix < WIDE_BLOCK[cidr.family];
}

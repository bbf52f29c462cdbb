/** Finds ports that none of the pods in question has. */
import type { Path } from '../cluster/field.ts';
import { editDistance } from '../cluster/nearest.ts';
import type {
  ContainerPort,
  Direction,
  PodRecord,
  PolicyPeer,
  PolicyPort,
  PolicyRecord,
  PolicyRule,
} from '../cluster/records.ts';
import { isEmptySelector, matchesSelector } from '../cluster/selector.ts';
import { isDnsPort } from './dns.ts';
import type { Mistake } from './finding.ts';
import type { KnownService } from './input.ts';
import type { KnownCluster } from './known-cluster.ts';
import { MOST_LISTED, unknownNamedPort, WHOSE } from './named-port.ts';

/** The ports that the containers of some pods declare. */
interface DeclaredPorts {
  readonly ports: readonly ContainerPort[];
  /**
   * Every pod declares some port. A container may listen without declaring a port, but one that
   * declares others mostly declares all.
   */
  readonly isComplete: boolean;
}

export class PortRules {
  readonly #cluster: KnownCluster;
  /** Cached, because ten thousand policies may select the same pods. */
  readonly #declared = new WeakMap<readonly PodRecord[], DeclaredPorts>();

  constructor(cluster: KnownCluster) {
    this.#cluster = cluster;
  }

  *mistakes(policy: PolicyRecord): Iterable<Mistake> {
    for (const direction of policy.isolates) {
      for (const [index, rule] of policy[direction].entries()) {
        const pods = this.#podsWithPorts(policy, direction, rule);
        if (pods === undefined || pods.length === 0) continue;
        const whose = WHOSE[direction];
        for (const [at, port] of rule.ports.entries()) {
          const path = ['spec', direction, index, 'ports', at, 'port'];
          if (typeof port.port === 'string') yield* this.#named(pods, port, port.port, direction, path);
          else if (port.port !== undefined) yield* this.#numbered(pods, port, port.port, whose, path);
        }
      }
    }
  }

  /**
   * Returns the pods to which a rule's ports belong; undefined unless all of them are known, by the
   * labels of peers or as whole namespaces.
   */
  #podsWithPorts(policy: PolicyRecord, direction: Direction, { peers }: PolicyRule): readonly PodRecord[] | undefined {
    const cluster = this.#cluster;
    if (direction === 'ingress') return cluster.selectedBy(policy);
    // The ports of addresses outside the cluster are unknown.
    if (peers.length === 0 || peers.some(({ ipBlock }) => ipBlock !== undefined)) return undefined;
    const isOwn = ({ podSelector, namespaceSelector }: PolicyPeer) =>
      namespaceSelector === undefined && podSelector !== undefined && !isEmptySelector(podSelector);
    if (peers.some((peer) => !isOwn(peer) && !cluster.showsNamespacesOf(peer, policy))) return undefined;
    const pods = peers.map((peer) => cluster.podsOfPeer(peer, policy.namespace));
    if (pods.some((each) => each.length === 0)) return undefined;
    return pods.length === 1 ? pods[0] : [...new Set(pods.flat())];
  }

  *#named(
    pods: readonly PodRecord[],
    port: PolicyPort,
    name: string,
    direction: Direction,
    path: Path,
  ): Iterable<Mistake> {
    const { ports } = this.#declaredBy(pods);
    if (ports.some((each) => each.name === name && each.protocol === port.protocol)) return;
    const service = () => this.#serviceWith(pods, (each) => each.name === name);
    yield {
      rule: 'unknown-named-port',
      path,
      ...unknownNamedPort({ name, protocol: port.protocol }, ports, direction, service),
    };
  }

  *#numbered(
    pods: readonly PodRecord[],
    { protocol, endPort }: PolicyPort,
    first: number,
    whose: string,
    path: Path,
  ): Iterable<Mistake> {
    const { ports, isComplete } = this.#declaredBy(pods);
    const last = endPort ?? first;
    const inRange = ports.filter(({ port }) => port >= first && port <= last);
    // DNS servers answer by UDP and TCP, whether they declare both or not.
    if (!isComplete || inRange.some((each) => each.protocol === protocol) || isDnsPort(first)) return;
    const [other] = inRange;
    const asked = first === last ? `${protocol} ${first}` : `${protocol} ${first}-${last}`;
    const service = this.#serviceWith(pods, (each) => each.port === first && each.protocol === protocol);
    const listed = [...new Set(ports.map((each) => `${each.protocol} ${each.port}`))];
    const theirs = `they have ${listed.slice(0, MOST_LISTED).join(', ')}${listed.length > MOST_LISTED ? ', …' : ''}`;
    const message = `no container of the pods ${whose} has port ${asked}; ${theirs}`;
    const found = { rule: 'port-not-listened', path, message } as const;
    const near = ports.find((each) => each.protocol === protocol && first === last && isSlipOf(first, each.port));
    if (other !== undefined) yield { ...found, hint: `Did you mean protocol: ${other.protocol}?`, severity: 'warning' };
    else if (service !== undefined) {
      const hint = `It is a port of Service ${service}; policies see the port of the container, behind the Service.`;
      yield { ...found, hint, severity: 'warning' };
    } else if (near !== undefined) yield { ...found, hint: `Did you mean ${near.port}?`, severity: 'hint' };
    else yield found;
  }

  #declaredBy(pods: readonly PodRecord[]): DeclaredPorts {
    let declared = this.#declared.get(pods);
    if (declared === undefined) {
      const ports = new Map<string, ContainerPort>();
      for (const pod of pods) {
        for (const port of pod.ports) ports.set(`${port.protocol} ${port.port} ${port.name}`, port);
      }
      declared = { ports: [...ports.values()], isComplete: pods.every((pod) => pod.ports.length > 0) };
      this.#declared.set(pods, declared);
    }
    return declared;
  }

  /** Returns a Service in front of these pods with such a port: `shop/backend (80 to 9000)`. */
  #serviceWith(
    pods: readonly PodRecord[],
    isMeant: (port: KnownService['ports'][number]) => boolean,
  ): string | undefined {
    const [pod] = pods;
    if (pod === undefined) return undefined;
    for (const { namespace, name, selector, ports } of this.#cluster.servicesIn(pod.namespace)) {
      const meant = ports.find(isMeant);
      if (meant === undefined || Object.keys(selector).length === 0) continue;
      if (!pods.some(({ labels }) => matchesSelector({ matchLabels: selector, matchExpressions: [] }, labels)))
        continue;
      return `${namespace}/${name} (${meant.port} to ${meant.targetPort})`;
    }
    return undefined;
  }
}

/**
 * Whether two digits changed places, or one was doubled or typed once instead of twice. Ports that
 * differ otherwise are often neighbours: 8080, 8081.
 */
function isSlipOf(asked: number, known: number): boolean {
  const [a, b] = [String(asked), String(known)];
  if (editDistance(a, b) !== 1) return false;
  return a.length === b.length ? sortedDigits(a) === sortedDigits(b) : withoutRepeats(a) === withoutRepeats(b);
}

function sortedDigits(text: string): string {
  return [...text].sort().join('');
}

function withoutRepeats(text: string): string {
  return text.replaceAll(/(\d)\1+/g, '$1');
}

/**
 * Brings a lab's network in line with its pods and Services: namespaces and links, Service
 * translation, listeners.
 */
import { type PodRecord, recordKey } from '../cluster/records.ts';
import { listeningPorts, type ServicePort, servicePorts } from '../cluster/service-ports.ts';
import type { ServiceRecord } from '../manifests/services.ts';
import { AF_INET, AF_INET6 } from '../sys/libc.ts';
import type { Netns } from '../sys/netns.ts';
import { familyOf } from '../sys/sockets.ts';
import { renderServices, type ServiceRules } from './kube-proxy.ts';
import type { LabExternal } from './plan.ts';
import { runChecked } from './run-command.ts';
import type { LabNode } from './scheduling.ts';
import { type Host, Topology } from './topology.ts';
import type { ListenSpec } from './traffic/messages.ts';
import { Traffic } from './traffic/traffic.ts';

interface RunningPod {
  record: PodRecord;
  readonly host: Host;
  /** The ports that it listens on, as text, to detect a change. */
  listening: string;
}

export class LabNetwork {
  readonly traffic = new Traffic();
  readonly topology: Topology;
  readonly #nodes: readonly LabNode[];
  readonly #pods = new Map<string, RunningPod>();
  readonly #externals = new Map<string, Host>();
  readonly #unavailable = new Set<string>();
  /** By network namespace, then by address family. */
  readonly #rules = new Map<Netns, Map<number, ServiceRules>>();
  #services: readonly ServicePort[] = [];

  readonly #podsOnCables: boolean;

  private constructor(nodes: readonly LabNode[], topology: Topology, podsOnCables: boolean) {
    this.#nodes = nodes;
    this.topology = topology;
    this.#podsOnCables = podsOnCables;
  }

  /**
   * Creates the nodes and external hosts, without pods. A pod on a cable translates Services
   * itself, because the cable judges its packets before the node sees them and needs their real
   * destination.
   */
  static async create(
    nodes: readonly LabNode[],
    externals: readonly LabExternal[],
    podsOnCables = false,
  ): Promise<LabNetwork> {
    const topology = await Topology.create(nodes, podsOnCables);
    const network = new LabNetwork(nodes, topology, podsOnCables);
    try {
      const hosts = await topology.addExternals(externals.map(({ addresses }) => addresses));
      for (const [i, { name }] of externals.entries()) network.#externals.set(name, hosts[i] as Host);
      return network;
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  get services(): readonly ServicePort[] {
    return this.#services;
  }

  /** The pods in the network: those with an address. */
  get pods(): readonly PodRecord[] {
    return [...this.#pods.values()].map(({ record }) => record);
  }

  pod(key: string): { readonly record: PodRecord; readonly netns: Netns } | undefined {
    const pod = this.#pods.get(key);
    return pod && { record: pod.record, netns: pod.host.netns };
  }

  /** The cables of a node's pods, as pairs of the node's interfaces. */
  cables(node: string): readonly (readonly [string, string])[] {
    const pods = [...this.#pods.values()].filter(({ record }) => record.nodeName === node && !record.hostNetwork);
    return pods.map(({ host }) => this.topology.cable(host));
  }

  external(name: string): Host | undefined {
    return this.#externals.get(name);
  }

  /** Whether a pod listens on a port: another host-network pod of its node may have taken it. */
  isListening(pod: string, protocol: string, port: number): boolean {
    return !this.#unavailable.has(`${pod} ${protocol} ${port}`);
  }

  /**
   * Adds and removes pods, translates Services, opens and closes listeners. Touches only what has
   * changed.
   */
  async reconcile(pods: readonly PodRecord[], services: readonly ServiceRecord[]): Promise<void> {
    const wanted = new Map(pods.filter(({ addresses }) => addresses.length > 0).map((pod) => [recordKey(pod), pod]));
    await this.#removePods(wanted);
    await this.#addPods(wanted);
    this.#services = servicePorts(services, this.pods);
    await Promise.all([this.#translate(AF_INET), this.#translate(AF_INET6), this.#listen()]);
  }

  async close(): Promise<void> {
    await this.traffic.stop();
    this.topology.close();
  }

  async #removePods(wanted: ReadonlyMap<string, PodRecord>): Promise<void> {
    for (const [key, { record, host }] of this.#pods) {
      const next = wanted.get(key);
      if (next && place(next) === place(record)) continue;
      this.#pods.delete(key);
      await this.traffic.forget(record.hostNetwork ? [] : [host.netns.fd], [key]);
      if (record.hostNetwork) continue;
      this.#rules.delete(host.netns);
      await this.topology.removePod(record.nodeName ?? '', host);
    }
  }

  async #addPods(wanted: ReadonlyMap<string, PodRecord>): Promise<void> {
    const added = Map.groupBy(
      [...wanted.values()].filter((pod) => !this.#pods.has(recordKey(pod))),
      (pod) => pod.nodeName ?? '',
    );
    const hosts = new Map<PodRecord, Host>();
    await Promise.all(
      [...added].map(async ([node, records]) => {
        const own = records.filter((pod) => !pod.hostNetwork);
        const made = await this.topology.addPods(
          node,
          own.map(({ addresses }) => addresses),
        );
        for (const [i, pod] of own.entries()) hosts.set(pod, made[i] as Host);
        for (const pod of records) if (pod.hostNetwork) hosts.set(pod, this.topology.node(node));
      }),
    );
    for (const [key, record] of wanted) {
      const host = hosts.get(record);
      const known = this.#pods.get(key);
      if (host) this.#pods.set(key, { record, host, listening: '' });
      else if (known) known.record = record;
    }
  }

  /** Applies no rules in a lab without Services, so only the agents cause connection tracking. */
  async #translate(family: number): Promise<void> {
    const nodes = this.#nodes.map(({ name }) => this.topology.node(name).netns);
    const pods = [...this.#pods.values()].filter(({ record }) => !record.hostNetwork).map(({ host }) => host.netns);
    const concerned = this.#services.some(({ clusterIP }) => familyOf(clusterIP) === family);
    const command = [family === AF_INET ? 'iptables-restore' : 'ip6tables-restore', '--noflush', '-w'];
    await Promise.all(
      [...nodes, ...(this.#podsOnCables ? pods : [])].map(async (netns) => {
        const own = this.#rules.get(netns) ?? new Map<number, ServiceRules>();
        const before = own.get(family);
        if (!concerned && before === undefined) return;
        const rules = renderServices(this.#services, family, before);
        if (rules.input === before?.input) return;
        await runChecked(netns, command, rules.input);
        this.#rules.set(netns, own.set(family, rules));
      }),
    );
  }

  async #listen(): Promise<void> {
    const specs: ListenSpec[] = [];
    const changed: string[] = [];
    for (const [key, pod] of this.#pods) {
      const ports = listeningPorts(pod.record, this.#services);
      const listening = ports.map(({ protocol, port }) => `${protocol} ${port}`).join(',');
      if (listening === pod.listening) continue;
      if (pod.listening !== '') changed.push(key);
      pod.listening = listening;
      for (const { protocol, port } of ports) {
        this.#unavailable.delete(`${key} ${protocol} ${port}`);
        for (const address of pod.record.addresses) {
          specs.push({ netns: pod.host.netns.fd, speaker: key, address, port, protocol });
        }
      }
    }
    if (changed.length > 0) await this.traffic.forget([], changed);
    for (const { spec } of await this.traffic.listen(specs)) {
      this.#unavailable.add(`${spec.speaker} ${spec.protocol} ${spec.port}`);
    }
  }
}

/** Where a pod is attached. If this changes, the pod is replaced. */
function place({ nodeName, addresses, hostNetwork }: PodRecord): string {
  return `${nodeName} ${hostNetwork} ${addresses.join(' ')}`;
}

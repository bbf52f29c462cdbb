/**
 * A cluster in network namespaces: pods, nodes that route, external hosts, Services, a listener on
 * every port, and an agent on every node. Real packets between the pods show what the policies do.
 *
 * The process holds the whole lab, so the lab ends with it, however it ends; see `sys/netns.ts`. It
 * needs root, and nothing of it is visible outside.
 */

import type { AgentCounters } from '../agent-state/counters.ts';
import { type PodRecord, type Protocol, recordKey } from '../cluster/records.ts';
import type { ServicePort } from '../cluster/service-ports.ts';
import type { ClusterChange } from '../cluster/store.ts';
import { ClusterStore } from '../cluster/store.ts';
import type { EnforcedVerdict } from '../filter/verdict.ts';
import type { ServiceRecord } from '../manifests/services.ts';
import type { Netns } from '../sys/netns.ts';
import type { Ending } from '../sys/program.ts';
import { Expectations } from './expectations.ts';
import { findHost } from './host-names.ts';
import { LabNetwork } from './lab-network.ts';
import { NodeAgent } from './node-agent.ts';
import type { AgentFlags } from './node-messages.ts';
import type { WireCounters } from './node-wire.ts';
import { type ExternalHost, type LabExternal, type LabInput, Plan } from './plan.ts';
import { allProbes, type Probe } from './probes.ts';
import { runIn } from './run-command.ts';
import type { LabNode } from './scheduling.ts';
import type { Host } from './topology.ts';
import type { AttemptOutcome, Timing } from './traffic/messages.ts';

export interface LabOptions {
  /** The result of `loadManifests`, or the same two fields made by hand. */
  readonly manifests: LabInput;
  /**
   * Number of nodes, or their names. @default as many as pods name in `spec.nodeName`, at least one
   */
  readonly nodes?: number | readonly string[];
  /** Hosts outside the cluster. Entries with the same name make one host with several addresses. */
  readonly externals?: readonly ExternalHost[];
  /** Settings of the agents; false: no agents, so everything is open. @default {} */
  readonly agents?: AgentFlags | false;
  /**
   * How podfence gets the packets: from the queues of an agent on every node, or as the cable
   * between each pod and its node, without agents. @default 'queue'
   */
  readonly capture?: 'queue' | 'wire';
  readonly onProgress?: (progress: LabProgress) => void;
}

export interface LabProgress {
  readonly step: 'network' | 'agents' | 'probes';
  readonly done: number;
  readonly total: number;
}

export interface LabHost {
  /** `namespace/name` of a pod, or the name of a node or external host. */
  readonly name: string;
  readonly netns: Netns;
  readonly addresses: readonly string[];
}

export interface LabPod extends LabHost {
  readonly record: PodRecord;
  readonly node: string;
}

export interface ProbeResult {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly expected: EnforcedVerdict;
  readonly observed: EnforcedVerdict;
  readonly via: Probe['via'];
  /** The address that was probed. */
  readonly address: string;
  /** The pod expected to answer: `to` itself, or the Service's backend. */
  readonly pod: string;
  /** Whether anything arrived, if no answer came back. */
  readonly delivered: boolean;
  /** The outcome in words. */
  readonly detail: string;
}

/** Which probes to make: those with these field values, or those that a function accepts. */
export type ProbeFilter =
  | Partial<Pick<Probe, 'from' | 'to' | 'port' | 'protocol' | 'via'>>
  | ((probe: Probe) => boolean);

const DEFAULT_TIMING: Timing = { patience: 5000, watch: 800 };

export class Lab {
  readonly #plan: Plan;
  readonly #network: LabNetwork;
  readonly #expectations: Expectations;
  readonly #store = new ClusterStore();
  readonly #agents = new Map<string, NodeAgent>();
  readonly #onProgress: (progress: LabProgress) => void;
  readonly #notes: string[] = [];
  #services: readonly ServiceRecord[];
  readonly #isWired: boolean;
  #attempts = 0;

  private constructor(options: LabOptions, plan: Plan, expectations: Expectations, network: LabNetwork) {
    this.#plan = plan;
    this.#network = network;
    this.#expectations = expectations;
    this.#services = options.manifests.services;
    this.#isWired = options.capture === 'wire';
    this.#onProgress = options.onProgress ?? (() => undefined);
  }

  /**
   * Builds the network and starts the agents. Resolves when their policies are in force. Throws
   * SystemCallError (EPERM) without root.
   */
  static async start(options: LabOptions): Promise<Lab> {
    const plan = new Plan(options.manifests, options.nodes, options.externals ?? []);
    const expectations = new Expectations(plan.nodes);
    const network = await LabNetwork.create(plan.nodes, plan.externals, options.capture === 'wire');
    const lab = new Lab(options, plan, expectations, network);
    try {
      const { snapshot, notes } = plan.place(options.manifests.snapshot);
      lab.#notes.push(...notes);
      const pods = snapshot.pods.length;
      lab.#onProgress({ step: 'network', done: 0, total: pods });
      await lab.#network.reconcile(snapshot.pods, lab.#services);
      lab.#onProgress({ step: 'network', done: pods, total: pods });
      lab.#expectations.apply(lab.#store.replace(snapshot));
      if (options.agents !== false) await lab.#startAgents(options.agents ?? {});
      return lab;
    } catch (error) {
      await lab.stop();
      throw error;
    }
  }

  get nodes(): readonly LabNode[] {
    return this.#plan.nodes;
  }

  get externals(): readonly LabExternal[] {
    return this.#plan.externals;
  }

  get pods(): readonly LabPod[] {
    return this.#network.pods.map((record) => this.pod(recordKey(record)));
  }

  get services(): readonly ServicePort[] {
    return this.#network.services;
  }

  /** Where the lab deviates from the manifests, as sentences. */
  get notes(): readonly string[] {
    const silent = this.#network.services.filter(({ backends }) => backends.length === 0).map(({ service }) => service);
    return [
      ...this.#notes,
      ...[...new Set(silent)].map((service) => `Service ${service} has no endpoints, so it is not probed`),
    ];
  }

  /**
   * Returns a pod by `namespace/name`, or by its bare name if that is unique. @throws
   * UnknownHostError
   */
  pod(name: string): LabPod {
    const key = findHost(name, this.#network.pods.map(recordKey));
    const { record, netns } = this.#network.pod(key) as { record: PodRecord; netns: Netns };
    return { name: key, netns, addresses: record.addresses, record, node: record.nodeName ?? '' };
  }

  node(name: string): LabHost {
    return this.#network.topology.node(name);
  }

  /** @throws UnknownHostError */
  external(name: string): LabHost {
    const key = findHost(
      name,
      this.externals.map((each) => each.name),
    );
    return { name: key, ...(this.#network.external(key) as Host) };
  }

  /**
   * The router between nodes and external hosts; its links are `node1`, …, `ext1`, … in the order
   * of creation.
   */
  get fabric(): Netns {
    return this.#network.topology.fabric;
  }

  /**
   * Applies a change of the cluster, as changes or as complete new manifests; pods may be added and
   * removed. Resolves when the change is in force on every node.
   */
  async apply(update: LabInput | readonly ClusterChange[]): Promise<void> {
    const changes = 'snapshot' in update ? this.#replace(update) : this.#change(update);
    await this.#network.reconcile(this.#store.snapshot().pods, this.#services);
    this.#expectations.apply(changes);
    await Promise.all(
      [...this.#agents].map(([node, agent]) => agent.apply(changes, this.#isWired ? this.#network.cables(node) : [])),
    );
  }

  /** Returns every probe that is possible now. */
  probes(filter: ProbeFilter = {}): readonly Probe[] {
    const { nodes, externals } = this;
    const { pods, services } = this.#network;
    return allProbes({ nodes, externals, pods, services }).filter(
      (probe) => this.#network.isListening(probe.pod, probe.protocol, probe.podPort) && matches(filter, probe),
    );
  }

  /** Returns the verdict that the policies give a probe. */
  expected(probe: Probe): EnforcedVerdict {
    return this.#expectations.allows(probe.hops, probe.podAddress, probe.protocol, probe.podPort) ? 'allow' : 'deny';
  }

  /** Makes all probes that the filter accepts, in parallel. */
  async probe(filter: ProbeFilter = {}, timing: Partial<Timing> = {}): Promise<readonly ProbeResult[]> {
    const probes = this.probes(filter).map((probe) => ({ probe, expected: this.expected(probe) }));
    const total = probes.length;
    this.#onProgress({ step: 'probes', done: 0, total });
    const outcomes = await this.#network.traffic.attempt(
      probes.map(({ probe, expected }) => this.#attempt(probe, expected)),
      { ...DEFAULT_TIMING, ...timing },
      (done) => this.#onProgress({ step: 'probes', done, total }),
    );
    return probes.map(({ probe, expected }, i) => resultOf(probe, expected, outcomes[i] as AttemptOutcome));
  }

  /**
   * Runs a program in a pod, an external host or a node, to its end. The program is killed if the
   * lab dies.
   */
  exec(host: string | LabHost, command: readonly string[], input?: string): Promise<Ending> {
    const { netns } = typeof host === 'string' ? this.pod(host) : host;
    return runIn(netns, ['setpriv', '--pdeathsig', 'KILL', ...command], input);
  }

  /** Returns the counters of each node's agent, by node name. */
  async counters(): Promise<ReadonlyMap<string, AgentCounters>> {
    const entries = [...this.#agents].map(async ([node, agent]) => [node, await agent.counters()] as const);
    return new Map(await Promise.all(entries));
  }

  /** Returns the counters of each node's cables, by node name. */
  async wireCounters(): Promise<ReadonlyMap<string, WireCounters>> {
    const entries = [...this.#agents].map(async ([node, agent]) => [node, await agent.wireCounters()] as const);
    return new Map(await Promise.all(entries));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()));
    this.#agents.clear();
    await this.#network.close();
  }

  async #startAgents(flags: AgentFlags): Promise<void> {
    const snapshot = this.#store.snapshot();
    const total = this.nodes.length;
    let done = 0;
    this.#onProgress({ step: 'agents', done, total });
    for (const node of this.nodes) this.#agents.set(node.name, new NodeAgent(node, this.node(node.name).netns));
    await Promise.all(
      [...this.#agents].map(async ([node, agent]) => {
        if (this.#isWired) await agent.startWire(this.nodes, this.#network.cables(node), snapshot);
        else await agent.start(flags, snapshot);
        this.#onProgress({ step: 'agents', done: ++done, total });
      }),
    );
  }

  #replace({ snapshot, services }: LabInput): readonly ClusterChange[] {
    const placed = this.#plan.place(snapshot);
    this.#notes.splice(0, Number.POSITIVE_INFINITY, ...placed.notes);
    this.#services = services;
    return this.#store.replace(placed.snapshot);
  }

  #change(changes: readonly ClusterChange[]): readonly ClusterChange[] {
    return this.#store.apply(
      changes.map((change) =>
        change.type === 'set' && change.record.kind === 'Pod'
          ? { type: 'set', record: this.#plan.placePod(change.record) }
          : change,
      ),
    );
  }

  #attempt(probe: Probe, expected: EnforcedVerdict) {
    const { from, source, address, port, protocol, sourcePorts } = probe;
    const sender = this.#network.pod(from) ?? this.external(from);
    return {
      id: ++this.#attempts,
      netns: sender.netns.fd,
      source,
      target: address,
      port,
      protocol,
      sourcePorts,
      expectAnswer: expected === 'allow',
      speaker: probe.pod,
      arrival: { netns: (this.#network.pod(probe.pod) ?? sender).netns.fd, port: probe.podPort },
    };
  }
}

function matches(filter: ProbeFilter, probe: Probe): boolean {
  if (typeof filter === 'function') return filter(probe);
  return Object.entries(filter).every(([field, value]) => probe[field as keyof Probe] === value);
}

/**
 * For a probe that must be denied, a delivered packet counts as allowed even if its answer was
 * lost: the policy denies the packet, not the answer.
 */
function resultOf(
  probe: Probe,
  expected: EnforcedVerdict,
  { answered, delivered, detail }: AttemptOutcome,
): ProbeResult {
  const { from, to, port, protocol, via, address, pod } = probe;
  const observed = answered || (expected === 'deny' && delivered) ? 'allow' : 'deny';
  return { from, to, port, protocol, expected, observed, via, address, pod, delivered, detail };
}

/**
 * Two pods on a node, in network namespaces of this process, with or without an agent on the node.
 */
import { writeFileSync } from 'node:fs';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import { NodeAgent } from '../../src/lab/node-agent.ts';
import type { AgentFlags } from '../../src/lab/node-messages.ts';
import { type Host, Topology } from '../../src/lab/topology.ts';
import type { TwoPods } from './two-pods.ts';

/**
 * A node name of the population in test/kube/population.ts, so that the node has more pods than the
 * two.
 */
export const PAIR_NODE = { name: 'node-0', addresses: ['172.18.0.2'] };
export const CLIENT_ADDRESS = '10.244.0.1';
export const SERVER_ADDRESS = '10.244.0.2';

/**
 * How long the kernel remembers ended connections, in s: a round must not find those of the round
 * before.
 */
const FORGET = {
  nf_conntrack_tcp_timeout_time_wait: 5,
  nf_conntrack_tcp_timeout_close: 5,
  nf_conntrack_udp_timeout: 5,
  nf_conntrack_udp_timeout_stream: 5,
};

export interface PairAgent {
  readonly flags: AgentFlags;
  /** The cluster as the agent knows it; the two pods have the addresses above. */
  readonly snapshot: ClusterSnapshot;
}

export class PodPair implements TwoPods, AsyncDisposable {
  readonly client: Host;
  readonly server: Host;
  readonly node: Host;
  /** Undefined if the kernel is alone. */
  readonly agent: NodeAgent | undefined;
  readonly #topology: Topology;

  private constructor(topology: Topology, [client, server]: readonly Host[], agent: NodeAgent | undefined) {
    this.#topology = topology;
    this.client = client as Host;
    this.server = server as Host;
    this.node = topology.node(PAIR_NODE.name);
    this.agent = agent;
  }

  /** Resolves when the policies are in force. */
  static async create(agent?: PairAgent): Promise<PodPair> {
    const topology = await Topology.create([PAIR_NODE]);
    try {
      const pods = await topology.addPods(PAIR_NODE.name, [[CLIENT_ADDRESS], [SERVER_ADDRESS]]);
      const { netns } = topology.node(PAIR_NODE.name);
      netns.run(() => {
        for (const [name, seconds] of Object.entries(FORGET))
          writeFileSync(`/proc/sys/net/netfilter/${name}`, String(seconds));
      });
      // Connections use distinct ports for a while.
      pods[0]?.netns.run(() => writeFileSync('/proc/sys/net/ipv4/ip_local_port_range', '1025 65535'));
      const pair = new PodPair(topology, pods, agent && new NodeAgent(PAIR_NODE, netns));
      if (agent !== undefined) await pair.agent?.start(agent.flags, agent.snapshot);
      return pair;
    } catch (error) {
      topology.close();
      throw error;
    }
  }

  /** The process that answers the kernel's queues, if there is one. */
  get answerer(): number | undefined {
    return this.agent?.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent?.stop();
    this.#topology.close();
  }
}

/** Two pods on a node, each with podfence as its cable. */
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import { NodeAgent } from '../../src/lab/node-agent.ts';
import { type Host, Topology } from '../../src/lab/topology.ts';
import { CLIENT_ADDRESS, PAIR_NODE, SERVER_ADDRESS } from '../traffic/pod-pair.ts';
import type { TwoPods } from '../traffic/two-pods.ts';

/** The kernel's capture buffer for each interface, in bytes, as in `podfence wire`. */
const BUFFER = 1 << 26;

export class WirePair implements TwoPods, AsyncDisposable {
  readonly client: Host;
  readonly server: Host;
  readonly #wire: NodeAgent;
  readonly #topology: Topology;

  private constructor(topology: Topology, [client, server]: readonly Host[], wire: NodeAgent) {
    this.#topology = topology;
    this.client = client as Host;
    this.server = server as Host;
    this.#wire = wire;
  }

  /** Resolves when the cables carry packets. */
  static async create(snapshot: ClusterSnapshot): Promise<WirePair> {
    const topology = await Topology.create([PAIR_NODE], true);
    try {
      const pods = await topology.addPods(PAIR_NODE.name, [[CLIENT_ADDRESS], [SERVER_ADDRESS]]);
      const pair = new WirePair(topology, pods, new NodeAgent(PAIR_NODE, topology.node(PAIR_NODE.name).netns));
      const cables = pods.map((pod) => topology.cable(pod));
      await pair.#wire.startWire([PAIR_NODE], cables, snapshot, BUFFER);
      return pair;
    } catch (error) {
      topology.close();
      throw error;
    }
  }

  /** Returns the number of frames that the cables lost since they were created. */
  async lost(): Promise<number> {
    return (await this.#wire.wireCounters()).lost;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#wire.stop();
    this.#topology.close();
  }
}

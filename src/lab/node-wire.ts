/** The cables of one lab node's pods: only podfence connects each pod to its node. */

import type { ClusterChange, ClusterSnapshot } from '../cluster/store.ts';
import { LiveTraffic, type Pair } from '../traffic/live-traffic.ts';
import { WholeCluster } from '../traffic/whole-cluster.ts';
import type { LabNode } from './scheduling.ts';

/**
 * Bytes of the kernel's buffer per interface: a lab has two interfaces per pod, and little load.
 */
const BUFFER = 1 << 22;
const FLOWS = 1 << 14;

/** Frames that a node's cables counted since they were laid. */
export interface WireCounters {
  readonly captured: number;
  readonly sent: number;
  /** Lost in the kernel's buffer, or refused when sent on. */
  readonly lost: number;
}

export class NodeWire {
  readonly #cluster: WholeCluster;
  #cables: readonly Pair[] = [];
  #traffic: LiveTraffic | undefined;

  readonly #bufferBytes: number;

  constructor(nodes: readonly LabNode[], snapshot: ClusterSnapshot, bufferBytes = BUFFER) {
    this.#bufferBytes = bufferBytes;
    // Without Services: pods translate them themselves, so no cable sees a Service's address.
    this.#cluster = new WholeCluster(snapshot, [], nodes);
  }

  /** Resolves when all cables carry frames. */
  async lay(cables: readonly Pair[]): Promise<void> {
    await this.#traffic?.stop();
    this.#traffic = undefined;
    this.#cables = cables;
    if (cables.length === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const traffic = await LiveTraffic.wire({
      ...{ cluster: this.#cluster, pairs: cables, flowCapacity: FLOWS, bufferBytes: this.#bufferBytes },
      onChange: () => {
        if (this.#traffic?.closed.length === 0) resolve();
      },
    });
    this.#traffic = traffic;
    if (traffic.closed.length > 0) await promise;
  }

  /**
   * Resolves when the changes are in force. If cables were added or removed, all are laid again,
   * and open flows are forgotten.
   */
  async apply(changes: readonly ClusterChange[], cables: readonly Pair[]): Promise<void> {
    this.#cluster.apply(changes);
    if (cables.join() === this.#cables.join()) await this.#traffic?.update();
    else await this.lay(cables);
  }

  counters(): WireCounters {
    const traffic = this.#traffic;
    if (traffic === undefined) return { captured: 0, sent: 0, lost: 0 };
    const { captured, dropped, counters } = traffic;
    return { captured, sent: counters.get('sent'), lost: dropped + counters.get('refused') + counters.get('tooLong') };
  }

  async stop(): Promise<void> {
    await this.#traffic?.stop();
  }
}

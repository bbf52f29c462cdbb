/**
 * What the policies say about a packet on its way through the nodes, from the compiled tables
 * alone: no packet is sent.
 */

import type { Protocol } from '../cluster/records.ts';
import type { ClusterChange } from '../cluster/store.ts';
import { isDenied, rule } from '../filter/decide.ts';
import { OK, Packet } from '../packet/packet.ts';
import { addressWords } from '../policy/address-words.ts';
import { PolicyCompiler } from '../policy/compiler.ts';
import type { RuleTable } from '../policy/rule-table.ts';
import type { LabNode } from './scheduling.ts';

/** Protocol numbers (https://www.iana.org/assignments/protocol-numbers). */
export const IANA: Readonly<Record<Protocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 };
const SYN = 0x02;
const INIT = 1;

/** A node that forwards the packet, and the packet's source address there. */
export interface Hop {
  readonly node: string;
  readonly source: string;
}

export class Expectations {
  readonly #compilers = new Map<string, PolicyCompiler>();
  readonly #tables = new Map<string, RuleTable>();
  readonly #packet = new Packet();

  constructor(nodes: readonly LabNode[]) {
    for (const node of nodes) this.#compilers.set(node.name, new PolicyCompiler(node.name));
  }

  apply(changes: readonly ClusterChange[]): void {
    for (const [node, compiler] of this.#compilers) {
      compiler.apply(changes);
      this.#tables.set(node, compiler.compile().table);
    }
  }

  /**
   * Whether every node on the way allows opening a connection to `destination`, a pod's address.
   */
  allows(hops: readonly Hop[], destination: string, protocol: Protocol, port: number): boolean {
    return hops.every(({ node, source }) => {
      const table = this.#tables.get(node);
      this.#fill(source, destination, protocol, port);
      return table !== undefined && !isDenied(rule(table, this.#packet));
    });
  }

  #fill(source: string, destination: string, protocol: Protocol, port: number): void {
    const packet = this.#packet;
    const [src0 = 0, src1 = 0, src2 = 0, src3 = 0] = addressWords(source) ?? [];
    const destinationWords = addressWords(destination) ?? [];
    const [dst0 = 0, dst1 = 0, dst2 = 0, dst3 = 0] = destinationWords;
    Object.assign(packet, { status: OK, src0, src1, src2, src3, dst0, dst1, dst2, dst3 });
    packet.family = destinationWords.length === 1 ? 4 : 6;
    packet.protocol = IANA[protocol];
    packet.srcPort = 40_000;
    packet.dstPort = port;
    packet.tcpFlags = protocol === 'TCP' ? SYN : 0;
    packet.sctpChunk = protocol === 'SCTP' ? INIT : -1;
  }
}

/**
 * Packets of many flows, in batches as a queue worker receives them. A packet is made by writing a flow's address and port into one that stands in
 * its place already: no memory traffic but that of what is measured.
 */

import { ip, type Payload, tooBig, viewOf } from '../../test/packet/build.ts';
import type { Steps } from '../harness/cpu-time.ts';
import { DB, FIRST_POD } from './scenario.ts';

/** Packets that are judged together. */
const BATCH = 64;
/** From one packet of a batch to the next, in bytes: as much as the kernel copies of each. */
export const STRIDE = 128;

/** Where an IPv4 packet without options has its addresses and source port, and an ICMP error those of the packet that it quotes. */
const SOURCE = 12;
const DESTINATION = 16;
const SOURCE_PORT = 20;
const QUOTED = 28;

const FIRST_PORT = 1024;
/** Source ports that one pod uses. */
const PORTS = 60_000;

export interface Packets {
  /** Packet i of the batch begins at byte i * STRIDE. */
  readonly view: DataView;
  /** Of each, in bytes. */
  readonly length: number;
  /** Packet `i` becomes one of flow `n`, 0 up to `distinctFlows(pods)`. */
  take(i: number, n: number): void;
}

/** Packets that peers send to db. */
export class FlowPackets implements Packets {
  readonly view: DataView;
  readonly length: number;
  readonly #pods: number;

  constructor(payload: Payload, pods: number) {
    const bytes = ip('10.128.0.0', DB, payload);
    this.view = repeated(bytes);
    this.length = bytes.length;
    this.#pods = pods;
  }

  take(i: number, n: number): void {
    const start = i * STRIDE;
    this.view.setInt32(start + SOURCE, FIRST_POD + (n % this.#pods));
    this.view.setUint16(start + SOURCE_PORT, FIRST_PORT + ((n / this.#pods) | 0));
  }
}

/** ICMP errors to the peers, about such packets. */
export class ErrorPackets implements Packets {
  readonly view: DataView;
  readonly length: number;
  readonly #pods: number;

  constructor(payload: Payload, pods: number) {
    const bytes = ip('198.51.100.7', '10.128.0.0', tooBig(ip('10.128.0.0', DB, payload)));
    this.view = repeated(bytes);
    this.length = bytes.length;
    this.#pods = pods;
  }

  take(i: number, n: number): void {
    const start = i * STRIDE;
    const address = FIRST_POD + (n % this.#pods);
    this.view.setInt32(start + DESTINATION, address);
    this.view.setInt32(start + QUOTED + SOURCE, address);
    this.view.setUint16(start + QUOTED + SOURCE_PORT, FIRST_PORT + ((n / this.#pods) | 0));
  }
}

function repeated(packet: Uint8Array): DataView {
  const all = new Uint8Array(BATCH * STRIDE);
  for (let i = 0; i < BATCH; i++) all.set(packet, i * STRIDE);
  return viewOf(all);
}

/** Flows that differ in pod or port. */
export function distinctFlows(pods: number): number {
  return pods * PORTS;
}

/** Gives the next flow. */
export type Order = () => number;

/** Of `flows` at random: one after the other would find each in the cache that the one before has warmed. */
export function random(flows: number): Order {
  let drawn = 12_345;
  return () => {
    drawn = (Math.imul(drawn, 1_664_525) + 1_013_904_223) | 0;
    return (drawn >>> 8) % flows;
  };
}

/** Of `flows` one after the other, from flow `next` on, so that each is new for as long as a table cannot hold them all. */
export function inOrder(flows: number, next = 0): Order {
  return () => {
    const flow = next;
    next = next + 1 < flows ? next + 1 : 0;
    return flow;
  };
}

/** Steps batch by batch. `judge` takes the first `size` packets, and gives back how many of them came out otherwise than they should. */
export function inBatches(order: Order, packets: Packets, judge: (size: number) => number): Steps {
  return (count) => {
    let wrong = 0;
    for (let left = count; left > 0; left -= BATCH) {
      const size = Math.min(left, BATCH);
      for (let i = 0; i < size; i++) packets.take(i, order());
      wrong += judge(size);
    }
    return wrong;
  };
}

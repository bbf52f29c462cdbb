/**
 * Packets of many flows, in batches as a queue worker receives them. To make a packet, a flow's
 * address and port are written into a packet that is already in place, so that there is no memory
 * traffic besides that of the measured code.
 */

import { ip, type Payload, tooBig, viewOf } from '../../test/packet/build.ts';
import type { Steps } from '../harness/cpu-time.ts';
import { DB, FIRST_POD } from './scenario.ts';

/** Packets in a batch. */
const BATCH = 64;
/** Distance between two packets of a batch, in bytes: as much as the kernel copies of each. */
export const STRIDE = 128;

/**
 * Offsets of addresses and source port in an IPv4 packet without options, and of the quoted packet
 * in an ICMP error.
 */
const SOURCE = 12;
const DESTINATION = 16;
const SOURCE_PORT = 20;
const QUOTED = 28;

const FIRST_PORT = 1024;
/** Source ports of one pod. */
const PORTS = 60_000;

export interface Packets {
  /** Packet i of the batch begins at byte i * STRIDE. */
  readonly view: DataView;
  /** Length of each packet, in bytes. */
  readonly length: number;
  /** Makes packet `i` one of flow `n`, from 0 to `distinctFlows(pods) - 1`. */
  take(i: number, n: number): void;
}

/** Packets from the peers to db. */
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

/** ICMP errors to the peers about such packets. */
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

/** Returns the number of flows that differ in pod or port. */
export function distinctFlows(pods: number): number {
  return pods * PORTS;
}

/** Returns the next flow. */
export type Order = () => number;

/**
 * Picks one of `flows` at random: in sequence, each would be in the cache that the one before has
 * warmed.
 */
export function random(flows: number): Order {
  let drawn = 12_345;
  return () => {
    drawn = (Math.imul(drawn, 1_664_525) + 1_013_904_223) | 0;
    return (drawn >>> 8) % flows;
  };
}

/**
 * Picks one of `flows` in sequence, starting at `next`, so that each is new as long as the table
 * cannot contain all of them.
 */
export function inOrder(flows: number, next = 0): Order {
  return () => {
    const flow = next;
    next = next + 1 < flows ? next + 1 : 0;
    return flow;
  };
}

/**
 * Returns steps that run batch by batch. `judge` judges the first `size` packets, and returns how
 * many had a wrong result.
 */
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

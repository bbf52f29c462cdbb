/** Packets of many flows, made by writing a flow's address and port into one packet in place: no memory traffic but that of what is measured. */

import { ip, type Payload, tooBig, viewOf } from '../../test/packet/build.ts';
import type { Steps } from '../harness/cpu-time.ts';
import { DB, FIRST_POD } from './scenario.ts';

/** Where an IPv4 packet without options has its addresses and source port, and an ICMP error those of the packet that it quotes. */
const SOURCE = 12;
const DESTINATION = 16;
const SOURCE_PORT = 20;
const QUOTED = 28;

const FIRST_PORT = 1024;
/** Source ports that one pod uses. */
const PORTS = 60_000;

/** A packet that peers send to db, of one flow after the other. */
export class FlowPacket {
  readonly view: DataView;
  readonly length: number;
  readonly #pods: number;

  constructor(payload: Payload, pods: number) {
    const bytes = ip('10.128.0.0', DB, payload);
    this.view = viewOf(bytes);
    this.length = bytes.length;
    this.#pods = pods;
  }

  /** Becomes a packet of flow `n`, 0 up to `distinctFlows(pods)`. */
  take(n: number): void {
    this.view.setInt32(SOURCE, FIRST_POD + (n % this.#pods));
    this.view.setUint16(SOURCE_PORT, FIRST_PORT + ((n / this.#pods) | 0));
  }
}

/** An ICMP error to the peer, about such a packet. */
export class ErrorPacket {
  readonly view: DataView;
  readonly length: number;
  readonly #pods: number;

  constructor(payload: Payload, pods: number) {
    const bytes = ip('198.51.100.7', '10.128.0.0', tooBig(ip('10.128.0.0', DB, payload)));
    this.view = viewOf(bytes);
    this.length = bytes.length;
    this.#pods = pods;
  }

  take(n: number): void {
    const address = FIRST_POD + (n % this.#pods);
    this.view.setInt32(DESTINATION, address);
    this.view.setInt32(QUOTED + SOURCE, address);
    this.view.setUint16(QUOTED + SOURCE_PORT, FIRST_PORT + ((n / this.#pods) | 0));
  }
}

/** Flows that differ in pod or port. */
export function distinctFlows(pods: number): number {
  return pods * PORTS;
}

/** Steps on flows drawn at random: one after the other would find each in the cache that the one before has warmed. */
export function random(flows: number, step: (flow: number) => boolean): Steps {
  let drawn = 12_345;
  return (count) => {
    let wrong = 0;
    for (let i = 0; i < count; i++) {
      drawn = (Math.imul(drawn, 1_664_525) + 1_013_904_223) | 0;
      if (!step((drawn >>> 8) % flows)) wrong++;
    }
    return wrong;
  };
}

/** Steps on flow after flow, so that each is new for as long as a table cannot hold them all. */
export function inOrder(flows: number, step: (flow: number) => boolean): Steps {
  let next = 0;
  return (count) => {
    let wrong = 0;
    for (let i = 0; i < count; i++) {
      next = next + 1 < flows ? next + 1 : 0;
      if (!step(next)) wrong++;
    }
    return wrong;
  };
}

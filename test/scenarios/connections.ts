/**
 * Open connections between two pods that a change may cut: a TCP connection, and a two-way stream
 * of UDP on the next port.
 */
import { expect } from 'vitest';
import type { Lab, LabHost } from '../../src/lab/lab.ts';
import type { Losses, Passage, Target } from './streams.ts';
import { TcpStream } from './tcp-stream.ts';
import { UdpStream } from './udp-stream.ts';

const NOTHING: Passage = { toServer: 0, toClient: 0 };
const NO_LOSSES: Losses = { toServer: [], toClient: [] };

export interface SourcePorts {
  readonly tcp: number;
  readonly udp: number;
}

export interface ConnectionOptions {
  /** Ports of the client. @default any */
  readonly sourcePorts?: SourcePorts;
  /** @default 4 */
  readonly family?: 4 | 6;
  /** An address and port that both connect to instead; it must lead to the servers. */
  readonly service?: Target;
}

export class Connections implements Disposable {
  readonly tcp: TcpStream;
  readonly udp: UdpStream;

  /** @param port the TCP server's port; the UDP server uses the next */
  constructor(lab: Lab, from: string, to: string, port: number, options: ConnectionOptions = {}) {
    const hosts = { from: hostOf(lab, from), to: hostOf(lab, to) };
    const { sourcePorts, family = 4, service } = options;
    const address = hosts.to.addresses.find((each) => each.includes(':') === (family === 6)) ?? '';
    const { tcp = 0, udp = 0 } = sourcePorts ?? {};
    this.tcp = new TcpStream({ ...hosts, port, sourcePort: tcp, target: service ?? { address, port } });
    const next = port + 1;
    this.udp = new UdpStream({ ...hosts, port: next, sourcePort: udp, target: service ?? { address, port: next } });
  }

  get sourcePorts(): SourcePorts {
    return { tcp: this.tcp.sourcePort, udp: this.udp.sourcePort };
  }

  /** Resolves when messages that are sent from now on arrive, both ways over both protocols. */
  async flow(): Promise<void> {
    await Promise.all([this.tcp.flows(), this.udp.flows()]);
  }

  /** Resolves when every message sent so far has arrived; see Stream.arrived. */
  async arrived(): Promise<void> {
    await Promise.all([this.tcp.arrived(), this.udp.arrived()]);
  }

  async expectNothingLost(): Promise<void> {
    const [tcp, udp] = await Promise.all([this.tcp.lost(), this.udp.lost()]);
    expect({ tcp, udp }, 'messages lost').toEqual({ tcp: NO_LOSSES, udp: NO_LOSSES });
  }

  [Symbol.dispose](): void {
    this.tcp[Symbol.dispose]();
    this.udp[Symbol.dispose]();
  }
}

/** Expects that no message that either side sends from now on arrives, while both go on sending. */
export async function expectCut({ tcp, udp }: Connections): Promise<void> {
  const [byTcp, byUdp] = await Promise.all([tcp.watch(), udp.watch()]);
  expect({ tcp: byTcp, udp: byUdp }, 'messages that still arrived').toEqual({ tcp: NOTHING, udp: NOTHING });
}

function hostOf(lab: Lab, name: string): LabHost {
  return lab.externals.some((external) => external.name === name) ? lab.external(name) : lab.pod(name);
}

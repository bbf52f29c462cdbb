/** Two hosts, and between them two interfaces of a third. The cable is whatever joins those. */
import { execFileSync } from 'node:child_process';
import { Interface } from '../../src/capture/interfaces.ts';
import type { PodRecord } from '../../src/cluster/records.ts';
import type { LabHost } from '../../src/lab/lab.ts';
import {
  bind,
  close,
  recv,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_RAW,
  send,
  setsockopt,
  socket,
} from '../../src/sys/libc.ts';
import { Netns } from '../../src/sys/netns.ts';
import { connect, familyOf, socketAddress, tryBind } from '../../src/sys/sockets.ts';

export const A = '10.7.0.1';
export const B = '10.7.0.2';
const A6 = 'fd07::1';
const B6 = 'fd07::2';

export class WiredHosts implements Disposable {
  readonly middle = Netns.create();
  readonly a: LabHost = { name: 'a', netns: Netns.create(), addresses: [A, A6] };
  readonly b: LabHost = { name: 'b', netns: Netns.create(), addresses: [B, B6] };

  constructor() {
    this.sh(this.middle, 'ip link set lo up');
    this.plug(this.a);
    this.plug(this.b);
  }

  /** The interfaces to join. */
  static readonly PAIR = ['to-a', 'to-b'] as const;

  plug({ name, netns, addresses: [address, address6] }: LabHost): void {
    this.sh(
      this.middle,
      `ip link add to-${name} type veth peer name eth0 netns ${netns.path}
       ip link set dev to-${name} addrgenmode none up`,
    );
    this.sh(
      netns,
      `ip link set lo up; ip addr add ${address}/24 dev eth0; ip -6 addr add ${address6}/64 dev eth0 nodad; ip link set eth0 up`,
    );
  }

  /** Returns the hosts as pods. */
  pods(): readonly PodRecord[] {
    return [this.a, this.b].map(({ name, addresses }) => ({
      ...{ kind: 'Pod', namespace: 'default', name, labels: { app: name }, addresses, hostNetwork: false, ports: [] },
    }));
  }

  /** Runs a shell script in a namespace and returns its output. Throws if it fails. */
  sh(where: Netns, script: string): string {
    return where.run(() =>
      execFileSync('sh', ['-ec', script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
    );
  }

  /** Whether one echo request from the host is answered. */
  pings(from: LabHost, address: string): boolean {
    try {
      this.sh(from.netns, `ping -c 1 -W 1 ${address}`);
      return true;
    } catch {
      return false;
    }
  }

  [Symbol.dispose](): void {
    for (const { netns } of [this.a, this.b]) netns.close();
    this.middle.close();
  }
}

/** linux/udp.h: what is sent at once is split into datagrams of this size, as late as possible. */
const SOL_UDP = 17;
const UDP_SEGMENT = 103;

/** A UDP socket of a host. `connect` sets the other end. */
export class UdpSocket implements Disposable {
  readonly #fd: number;

  constructor({ netns }: LabHost, address: string, port: number) {
    this.#fd = netns.run(() => socket(familyOf(address), SOCK_DGRAM | SOCK_NONBLOCK, 0));
    if (tryBind(this.#fd, socketAddress(address, port)) < 0) throw new Error(`${address} port ${port} is taken`);
  }

  connect(address: string, port: number): void {
    connect(this.#fd, socketAddress(address, port));
  }

  /** Sends bytes as datagrams of `segment` bytes, or as one. */
  send(bytes: Uint8Array, segment = 0): void {
    setsockopt(this.#fd, SOL_UDP, UDP_SEGMENT, segment);
    if (send(this.#fd, bytes, bytes.length, 0) < 0) throw new Error('the datagrams were not taken');
  }

  /** Returns up to `count` datagrams that arrive within `patience` ms. */
  async receive(count: number, patience = 3000): Promise<readonly Uint8Array[]> {
    const datagrams: Uint8Array[] = [];
    const buffer = new Uint8Array(65_536);
    const end = performance.now() + patience;
    while (datagrams.length < count && performance.now() < end) {
      const length = recv(this.#fd, buffer, buffer.length, 0);
      if (length >= 0) datagrams.push(buffer.slice(0, length));
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return datagrams;
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

const AF_PACKET = 17;
const ETH_P_ALL = 3;
/** Length of an Ethernet header: no frame is shorter. */
const SHORTEST = 14;

/** Sends and receives raw frames on a host's interface. */
export class FrameSocket implements Disposable {
  readonly #fd: number;

  constructor({ netns }: LabHost) {
    this.#fd = netns.run(() => {
      const eth0 = new Interface('eth0');
      eth0.refresh();
      // `struct sockaddr_ll`: u16 family, u16 protocol, int32 index.
      const address = new DataView(new ArrayBuffer(20));
      address.setUint16(0, AF_PACKET, true);
      address.setUint16(2, ETH_P_ALL);
      address.setInt32(4, eth0.index, true);
      const fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
      bind(fd, new Uint8Array(address.buffer));
      return fd;
    });
  }

  send(frame: Uint8Array): void {
    if (send(this.#fd, frame, frame.length, 0) < SHORTEST) throw new Error('the frame was not taken');
  }

  /** Returns the next frame that is wanted; undefined if none arrives within `patience` ms. */
  async receive(isWanted: (frame: Uint8Array) => boolean, patience = 3000): Promise<Uint8Array | undefined> {
    const buffer = new Uint8Array(65_536);
    for (const end = performance.now() + patience; performance.now() < end; ) {
      const length = recv(this.#fd, buffer, buffer.length, 0);
      if (length < 0) await new Promise((resolve) => setTimeout(resolve, 1));
      else if (isWanted(buffer.subarray(0, length))) return buffer.slice(0, length);
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

/** ICMP without the lab's probes: echo by ping(8), errors by raw sockets. */
import type { Lab, LabHost } from '../../src/lab/lab.ts';
import { AF_INET, close, SOCK_NONBLOCK, SOCK_RAW, socket } from '../../src/sys/libc.ts';
import { receiveFrom, sendTo, socketAddress } from '../../src/sys/sockets.ts';
import { patience } from '../patience.ts';

const IPPROTO_ICMP = 1;
const PATIENCE = patience(3000);
/**
 * How long ping waits for an answer that must come, and for one that must not, in s. On an emulated
 * machine an answer that two agents judge takes longer than the latter.
 */
const PING_PATIENCE = Math.ceil(patience(10));
const PING_WATCH = 0.3;

export function familyAddress({ addresses }: LabHost, family: 4 | 6): string {
  return addresses.find((address) => address.includes(':') === (family === 6)) ?? '';
}

/** Returns whether an echo request is answered. `expected` only decides how long to wait. */
export async function ping(lab: Lab, from: string, to: string, family: 4 | 6, expected: boolean): Promise<boolean> {
  const target = familyAddress(lab.pod(to), family);
  const wait = String(expected ? PING_PATIENCE : PING_WATCH);
  const { code, stdout, stderr } = await lab.exec(from, ['ping', '-n', '-c', '1', '-W', wait, target]);
  // ping(8) exits with 1 if there was no answer, and with 2 for other errors.
  if (code !== 0 && code !== 1) throw new Error(`ping: ${stderr || stdout}`);
  return code === 0;
}

/** A UDP flow over IPv4. */
export interface QuotedFlow {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/**
 * Returns an ICMP message (RFC 792) "fragmentation needed" that quotes the first bytes of a
 * datagram of the flow.
 */
export function fragmentationNeeded({ source, destination, sourcePort, destinationPort }: QuotedFlow): Buffer {
  const message = Buffer.alloc(36);
  message.set([3, 4]);
  message.writeUInt16BE(1400, 6);
  const ip = message.subarray(8, 28);
  ip.set([0x45, 0, 1500 >> 8, 1500 & 255, 0, 1, 0x40, 0, 64, 17]);
  ip.set(source.split('.').map(Number), 12);
  ip.set(destination.split('.').map(Number), 16);
  ip.writeUInt16BE(checksum(ip), 10);
  message.writeUInt16BE(sourcePort, 28);
  message.writeUInt16BE(destinationPort, 30);
  message.writeUInt16BE(1480, 32);
  message.writeUInt16BE(checksum(message), 2);
  return message;
}

/** Sends an ICMP message to an IPv4 address. */
export function sendRaw(from: LabHost, to: string, message: Buffer): void {
  const fd = from.netns.run(() => socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  try {
    if (sendTo(fd, message, 0, socketAddress(to, 0)) < 0) throw new Error('the ICMP message was not sent');
  } finally {
    close(fd);
  }
}

/** Receives every ICMP message that reaches a host. */
export class IcmpListener implements Disposable {
  readonly messages: Buffer[] = [];
  readonly #fd: number;

  constructor(host: LabHost) {
    this.#fd = host.netns.run(() => socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP));
  }

  async until(holds: (messages: readonly Buffer[]) => boolean): Promise<void> {
    const end = performance.now() + PATIENCE;
    const packet = Buffer.alloc(2048);
    while (!holds(this.messages)) {
      if (performance.now() > end)
        throw new Error(`the message did not arrive, but ${this.messages.length} others did`);
      const length = receiveFrom(this.#fd, packet, 0);
      // A raw socket receives the IP header, too (raw(7)).
      if (length > 0) this.messages.push(Buffer.from(packet.subarray(((packet[0] ?? 0) & 15) * 4, length)));
      else await new Promise((resolve) => setImmediate(resolve));
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

/** Returns the checksum of RFC 1071 of bytes in which the checksum field is still zero. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

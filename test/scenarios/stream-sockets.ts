/** Shared by the sockets of streams: messages, and opening them in a host's namespace. */
import type { LabHost } from '../../src/lab/lab.ts';
import {
  close,
  errno,
  errnoName,
  SO_RCVBUFFORCE,
  SO_REUSEADDR,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  setsockopt,
  socket,
} from '../../src/sys/libc.ts';
import { EADDRINUSE, familyOf, socketAddress, tryBind } from '../../src/sys/sockets.ts';

const RECEIVE_BUFFER = 4 << 20;
/** Length of a message in bytes. */
export const MESSAGE = 8;

export const buffer = new Uint8Array(65_536);
export const bufferView = new DataView(buffer.buffer);
const message = new Uint8Array(MESSAGE);
const messageView = new DataView(message.buffer);

/**
 * Encodes a message: the stream's id and the message's number. The id matters because a datagram of
 * a closed stream may still reach the next one.
 */
export function encoded(stream: number, number: number): Uint8Array {
  messageView.setUint32(0, stream);
  messageView.setUint32(4, number);
  return message;
}

export function open(host: LabHost, address: string, type: number): number {
  const fd = host.netns.run(() => socket(familyOf(address), type | SOCK_NONBLOCK, 0));
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
  if (type === SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  return fd;
}

export function bindTo(fd: number, address: string, port: number): void {
  if (tryBind(fd, socketAddress(address, port)) === 0) return;
  const code = errno() === EADDRINUSE ? `${port} is taken` : errnoName(errno());
  close(fd);
  throw new Error(`binding to ${address}: ${code}`);
}

export function ownAddress({ addresses }: LabHost, target: string): string {
  const address = addresses.find((each) => familyOf(each) === familyOf(target));
  if (address === undefined) throw new Error('no address of the family');
  return address;
}

/**
 * HTTP to a server inside a network namespace: a system call makes the connection in the host's
 * namespace.
 */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import type { LabHost } from '../../src/lab/lab.ts';
import { close, errno, errnoName, SOCK_CLOEXEC, SOCK_STREAM, socket } from '../../src/sys/libc.ts';
import { connect, familyOf, type SocketAddress, socketAddress } from '../../src/sys/sockets.ts';

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Sends a GET request. Rejects with the errno's name if no server listens. */
export async function getIn(
  host: LabHost,
  { address, port }: SocketAddress,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const outgoing = request({
    path,
    headers: { host: address, connection: 'close', ...headers },
    createConnection: () => connectedSocket(host, address, port),
  });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, body: await text(response) };
}

/** Connects to an address of the host itself, so that the handshake takes no time. */
function connectedSocket(host: LabHost, address: string, port: number): Socket {
  const fd = host.netns.run(() => socket(familyOf(address), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd, socketAddress(address, port)) < 0) {
    const code = errnoName(errno());
    close(fd);
    throw new Error(`${address}:${port}: ${code}`);
  }
  return new Socket({ fd, readable: true, writable: true });
}

/** Echoes what it receives, over TCP and UDP, on every address of the pod. */
import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';

const FAMILIES = [
  { host: '0.0.0.0', type: 'udp4' },
  { host: '::', type: 'udp6' },
] as const;

/** The kernel's errors if a pod has no IPv6, or no IPv4. */
const ABSENT = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT']);

export interface EchoServer {
  /** May be called more than once. */
  close(): void;
}

/**
 * Resolves when it listens on each address family that the pod has.
 * @throws the system's error if it cannot listen on the port
 */
export async function serveEcho(port: number): Promise<EchoServer> {
  const parts: EchoServer[] = [];
  for (const { host, type } of FAMILIES) {
    try {
      parts.push(await serveTcp(host, port), await serveUdp(type, host, port));
    } catch (error) {
      if (!ABSENT.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  if (parts.length === 0) throw new Error('the pod has neither IPv4 nor IPv6');
  return { close: () => parts.splice(0).forEach((part) => void part.close()) };
}

function serveTcp(host: string, port: number): Promise<EchoServer> {
  const { promise, resolve, reject } = Promise.withResolvers<EchoServer>();
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    // A peer that was cut off is not our error.
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.pipe(socket);
  });
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  server.once('error', reject);
  server.listen({ host, port, ipv6Only: true, backlog: 511 }, () => resolve({ close }));
  return promise;
}

function serveUdp(type: 'udp4' | 'udp6', host: string, port: number): Promise<EchoServer> {
  const { promise, resolve, reject } = Promise.withResolvers<EchoServer>();
  const socket = createSocket({ type, ipv6Only: type === 'udp6' });
  socket.once('error', reject);
  socket.on('message', (message, peer) => socket.send(message, peer.port, peer.address, () => {}));
  socket.bind(port, host, () => {
    socket.off('error', reject);
    socket.on('error', () => {});
    resolve({ close: () => socket.close() });
  });
  return promise;
}

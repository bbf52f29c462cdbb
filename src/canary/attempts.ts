/**
 * One attempt to reach a server: a TCP connection, or a UDP datagram that is echoed. Each attempt
 * is a flow of its own.
 */
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import type { Protocol } from './plan.ts';
import { LIMIT, type Result } from './report-line.ts';

const REFUSALS = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE']);
const UNREACHABLE = new Set(['EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'EACCES', 'EPERM', 'ETIMEDOUT']);

export function resultOf(error: NodeJS.ErrnoException): Result {
  if (REFUSALS.has(error.code ?? '')) return 'refused';
  return UNREACHABLE.has(error.code ?? '') ? 'unreachable' : 'failed';
}

/**
 * Calls back after the limit, once everything that arrived in the meantime is read: a pod that got
 * no CPU must not count as a silent peer.
 */
export function afterLimit(callback: () => void): () => void {
  const timer = setTimeout(() => setImmediate(callback), LIMIT);
  return () => clearTimeout(timer);
}

export function attempt(protocol: Protocol, address: string, port: number): Promise<Result> {
  return protocol === 'TCP' ? open(address, port) : sendAndWait(address, port);
}

/**
 * An established connection is enough: packets passed both ways, and the server's kernel answers
 * even while its pod waits for the CPU.
 */
function open(address: string, port: number): Promise<Result> {
  const { promise, resolve } = Promise.withResolvers<Result>();
  const socket = connect({ host: address, port });
  const cancel = afterLimit(() => finish('silent'));
  socket.on('connect', () => finish('answered'));
  socket.on('error', (error) => finish(resultOf(error)));
  function finish(result: Result): void {
    cancel();
    resolve(result);
    socket.destroy();
  }
  return promise;
}

let questions = 0;

/**
 * Source ports for datagrams, below the kernel's ephemeral range (32768 on). Each is used once
 * until all are used up: to connection tracking, a port that was used before isolation is an open
 * flow, which an enforcer may let go on.
 */
const PORTS = { first: 10_000, count: 20_000 };
let portsUsed = 0;

function nextPort(): number {
  return PORTS.first + (portsUsed++ % PORTS.count);
}

function sendAndWait(address: string, port: number): Promise<Result> {
  const { promise, resolve } = Promise.withResolvers<Result>();
  const question = `${questions++}\n`;
  let isOpen = true;
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  const cancel = afterLimit(() => finish('silent'));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE' && isOpen) socket.bind(nextPort());
    else finish(resultOf(error));
  });
  socket.on('message', (message) => {
    if (message.toString('latin1') === question) finish('answered');
  });
  socket.on('listening', () => {
    socket.connect(port, address, (error?: Error) => {
      if (error !== undefined && error !== null) finish(resultOf(error));
      else if (isOpen) socket.send(question, (failure) => failure && finish(resultOf(failure)));
    });
  });
  socket.bind(nextPort());
  function finish(result: Result): void {
    if (!isOpen) return;
    isOpen = false;
    cancel();
    resolve(result);
    socket.close();
  }
  return promise;
}

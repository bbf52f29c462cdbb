/**
 * The far end of Pods.request (pods.ts): a process in a pod's namespace that listens on TCP and UDP
 * port 80 and connects on command.
 */
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';

const PORT = 80;

export interface Request {
  /** `flood`: an endless stream of UDP datagrams. */
  readonly protocol: 'tcp' | 'udp' | 'flood';
  readonly address: string;
  /** How long to wait before reporting silence, in ms. */
  readonly patience: number;
}

/**
 * 'answered', 'silence', or the error code (ECONNREFUSED for a TCP reset, EHOSTUNREACH or EACCES
 * for ICMP).
 */
export type Outcome = string;

function tcp({ address, patience }: Request, done: (outcome: Outcome) => void): void {
  const socket = connect({ host: address, port: PORT });
  const timer = setTimeout(() => finish('silence'), patience);
  const finish = (outcome: Outcome) => {
    clearTimeout(timer);
    socket.destroy();
    done(outcome);
  };
  socket.on('data', () => finish('answered'));
  socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
}

function udp({ address, patience }: Request, done: (outcome: Outcome) => void): void {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const timer = setTimeout(() => finish('silence'), patience);
  const finish = (outcome: Outcome) => {
    clearTimeout(timer);
    socket.close();
    done(outcome);
  };
  socket.on('message', () => finish('answered'));
  socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  socket.connect(PORT, address, () => socket.send('?'));
}

/** Calls `done` once the first datagram has left. The others follow until the process ends. */
function flood({ address }: Request, done: (outcome: Outcome) => void): void {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.connect(PORT, address, () => {
    const sendAgain = () => socket.send('!', () => setImmediate(sendAgain));
    socket.send('!', () => {
      sendAgain();
      done('answered');
    });
  });
}

const echo = createSocket('udp6');
echo.on('message', (message, from) => echo.send(message, from.port, from.address));
echo.bind(PORT, () => {
  const server = createServer((socket) => socket.on('error', () => {}).end('!'));
  server.listen(PORT, '::', () => process.send?.('ready'));
});
process.on('message', (request: Request) => {
  const answer = (outcome: Outcome) => process.send?.(outcome);
  ({ tcp, udp, flood })[request.protocol](request, answer);
});
process.on('disconnect', () => process.exit());

// ask.ts TIMEOUT-MS [tcp:HOST:PORT|udp:HOST:PORT …]: asks all of them at once; prints a JSON array of outcomes:
// the answering pod's name, "refused", "silent" (no answer in time) or "error CODE".
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';

const [timeout, ...targets] = process.argv.slice(2);

interface Target {
  readonly kind: string;
  readonly host: string;
  readonly port: number;
}

function parse(target: string): Target {
  const [, kind = '', host = '', port] = /^(tcp|udp):(.+):(\d+)$/.exec(target) ?? [];
  return { kind, host: host.replaceAll(/[[\]]/g, ''), port: Number(port) };
}

function askTcp({ host, port }: Target): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (outcome: string) => {
      socket.destroy();
      resolve(outcome);
    };
    setTimeout(() => end('silent'), Number(timeout));
    socket.on('connect', () => socket.write('ask\n'));
    socket.on('data', (data) => end(String(data).split(' ')[0] ?? ''));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => end(code === 'ECONNREFUSED' ? 'refused' : `error ${code}`));
  });
}

function askUdp({ host, port }: Target): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    const send = () => socket.send('ask', port, host, () => undefined);
    const again = setInterval(send, 300);
    const end = (outcome: string) => {
      clearInterval(again);
      socket.close();
      resolve(outcome);
    };
    const timer = setTimeout(() => end('silent'), Number(timeout));
    socket.once('message', (data) => {
      clearTimeout(timer);
      end(String(data).split(' ')[0] ?? '');
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      end(`error ${code}`);
    });
    send();
  });
}

const outcomes = await Promise.all(
  targets.map(parse).map((target) => (target.kind === 'tcp' ? askTcp(target) : askUdp(target))),
);
console.log(JSON.stringify(outcomes));
process.exit(0);

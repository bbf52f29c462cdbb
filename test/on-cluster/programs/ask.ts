// ask.ts [TIMEOUT-MS TARGET …]: asks all targets at once, tcp:HOST:PORT or udp:HOST:PORT, and
// prints a JSON array of outcomes: the answering pod's name, "refused", "silent" (no answer in
// time) or "error CODE". Without arguments it reads such questions from standard input, each a JSON
// array on a line, and answers each with a line.
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';

interface Target {
  readonly kind: string;
  readonly host: string;
  readonly port: number;
}

function parse(target: string): Target {
  const [, kind = '', host = '', port] = /^(tcp|udp):(.+):(\d+)$/.exec(target) ?? [];
  return { kind, host: host.replaceAll(/[[\]]/g, ''), port: Number(port) };
}

function askTcp({ host, port }: Target, timeout: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (outcome: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => end('silent'), timeout);
    socket.on('connect', () => socket.write('ask\n'));
    socket.on('data', (data) => end(String(data).split(' ')[0] ?? ''));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => end(code === 'ECONNREFUSED' ? 'refused' : `error ${code}`));
  });
}

function askUdp({ host, port }: Target, timeout: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    const send = () => socket.send('ask', port, host, () => undefined);
    const again = setInterval(send, 300);
    const end = (outcome: string) => {
      clearInterval(again);
      clearTimeout(timer);
      socket.close();
      resolve(outcome);
    };
    const timer = setTimeout(() => end('silent'), timeout);
    socket.once('message', (data) => end(String(data).split(' ')[0] ?? ''));
    socket.once('error', ({ code }: NodeJS.ErrnoException) => end(`error ${code}`));
    send();
  });
}

async function ask([timeout = '', ...targets]: readonly string[]): Promise<void> {
  const questions = targets.map(parse);
  const outcomes = questions.map((target) => (target.kind === 'tcp' ? askTcp : askUdp)(target, Number(timeout)));
  console.log(JSON.stringify(await Promise.all(outcomes)));
}

if (process.argv.length > 2) await ask(process.argv.slice(2));
else createInterface({ input: process.stdin }).on('line', (line) => void ask(JSON.parse(line) as string[]));

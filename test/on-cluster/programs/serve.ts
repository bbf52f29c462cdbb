// serve.ts [tcp:PORT|udp:PORT|http:PORT …]: answers each line, datagram and request with this pod's
// name and the question.
import { createSocket } from 'node:dgram';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import { createInterface } from 'node:readline';

for (const [kind, port] of process.argv.slice(2).map((word) => word.split(':'))) {
  if (kind === 'tcp') {
    createServer((socket) => {
      socket.on('error', () => undefined);
      createInterface({ input: socket })
        .on('line', (line) => socket.write(`${hostname()} ${line}\n`))
        .on('error', () => undefined);
    }).listen(Number(port));
  } else if (kind === 'udp') {
    const socket = createSocket('udp6');
    socket.on('message', (message, { address, port: from }) => socket.send(`${hostname()} ${message}`, from, address));
    socket.bind(Number(port));
  } else if (kind === 'http') {
    createHttpServer((request, response) => response.end(`${hostname()} ${request.url}\n`)).listen(Number(port));
  }
}
process.on('SIGTERM', () => process.exit(0));
console.log('serving');

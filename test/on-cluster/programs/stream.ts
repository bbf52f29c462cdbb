// stream.ts HOST PORT: opens one TCP connection and sends a numbered line every 100 ms. Prints
// {"answered":N} for each answer, and how the connection ended; it never opens another.
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const [host, port] = process.argv.slice(2);
const socket = connect({ host, port: Number(port) });
socket.setNoDelay(true);
let sent = 0;
socket.on('connect', () => {
  console.log('{"connected":true}');
  setInterval(() => socket.write(`${++sent}\n`), 100);
});
createInterface({ input: socket })
  .on('line', (line) => console.log(`{"answered":${line.split(' ')[1]}}`))
  .on('error', () => undefined);
socket.on('error', ({ code }: NodeJS.ErrnoException) => console.log(JSON.stringify({ ended: code })));
socket.on('close', () => console.log('{"ended":"closed"}'));
setInterval(() => undefined, 1000);
process.on('SIGTERM', () => process.exit(0));

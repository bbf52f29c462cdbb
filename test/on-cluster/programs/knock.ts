// knock.ts HOST PORT: opens a new TCP connection 20 times a second. Prints {"answered":M} and
// {"tried":N} twice a second, until it is killed.
import { connect } from 'node:net';

const [host = '', port] = process.argv.slice(2);
let tried = 0;
let answered = 0;
setInterval(() => {
  const socket = connect({ host, port: Number(port) });
  tried++;
  const timer = setTimeout(() => socket.destroy(), 1000);
  socket.on('connect', () => socket.write('knock\n'));
  socket.on('data', () => {
    answered++;
    socket.destroy();
  });
  socket.on('error', () => undefined);
  socket.on('close', () => clearTimeout(timer));
}, 50);
setInterval(() => {
  console.log(JSON.stringify({ answered }));
  console.log(JSON.stringify({ tried }));
}, 500);
process.on('SIGTERM', () => process.exit(0));

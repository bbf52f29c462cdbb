/**
 * What the pods of these examples run. podfence's own image has it, so that no example needs a
 * public registry:
 *
 *     node listen.mjs 8080 53/udp
 *
 * It answers every HTTP request and every datagram on these ports with the pod's name. Plain
 * JavaScript without packages: pods run it as it stands.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const ANSWER = `${hostname()}\n`;

for (const argument of process.argv.slice(2)) {
  const [, port, protocol = 'tcp'] = /^(\d+)(?:\/(tcp|udp))?$/.exec(argument) ?? [];
  if (port === undefined) {
    console.error(`${argument}: expected a port such as 8080 or 53/udp`);
    process.exit(2);
  }
  if (protocol === 'udp') listenUdp(Number(port));
  else listenTcp(Number(port));
}
// A container's first process is not ended by a signal that it does not take itself.
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit());

function listenTcp(port) {
  const server = createServer((_, response) => response.end(ANSWER));
  // What is said here may be anything, for whoever asks wants to know only whether somebody listens.
  server.on('clientError', (_, socket) => socket.end(ANSWER));
  server.listen(port, () => console.log(`listens on ${port}/tcp`));
}

/** Of both families where the pod has IPv6, as the server above does it by itself. */
function listenUdp(port, type = 'udp6') {
  const socket = createSocket(type);
  socket.on('error', (error) => {
    if (type === 'udp4') throw error;
    listenUdp(port, 'udp4');
  });
  socket.on('message', (_, { port, address }) => socket.send(ANSWER, port, address));
  socket.bind(port, () => console.log(`listens on ${port}/udp`));
}

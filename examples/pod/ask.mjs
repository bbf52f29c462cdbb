/**
 * Asks ports whether they answer; the other side of listen.mjs:
 *
 *     node ask.mjs server:80 10.96.0.10:53/udp [fd00::7]:8080
 *
 * It opens a new connection to each, all at the same time, and prints a line for each:
 * `server:80 answers: server-0`, or `server:80 no answer`. The exit code is 1 if any gave none.
 * `--patience 500` waits so many milliseconds (1000 by default), `--forever` asks again a second
 * after each round. Any server will do: a TCP port answers once it is connected, a UDP port with
 * whatever it says to a DNS query.
 */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { connect, isIPv6 } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';

/** A query for the name servers of the root, RFC 1035 section 4.1: what listens to UDP port 53 answers it. */
const DNS_QUERY = Buffer.from('5046 0100 0001 0000 0000 0000 00 0002 0001'.replaceAll(' ', ''), 'hex');
/** Between two rounds, in ms. */
const PAUSE = 1000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { patience: { type: 'string', default: '1000' }, forever: { type: 'boolean', default: false } },
});
const patience = Number(values.patience);
const targets = positionals.map(parseTarget);
// A container's first process is not ended by a signal that it does not take itself.
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit());

do {
  const answers = await Promise.all(targets.map(ask));
  for (const [i, said] of answers.entries()) {
    console.log(`${targets[i].text} ${said === undefined ? 'no answer' : `answers: ${said}`.trim()}`);
  }
  process.exitCode = answers.includes(undefined) ? 1 : 0;
  if (values.forever) await setTimeout(PAUSE);
} while (values.forever);

function parseTarget(text) {
  const { bracketed, host = bracketed, port, protocol = 'tcp' } =
    /^(?:\[(?<bracketed>[^\]]+)\]|(?<host>[^:]+)):(?<port>\d+)(?:\/(?<protocol>tcp|udp))?$/.exec(text)?.groups ?? {};
  if (port === undefined) {
    console.error(`${text}: expected HOST:PORT, such as server:80, 10.0.0.1:53/udp or [fd00::7]:8080`);
    process.exit(2);
  }
  return { text, host: host ?? bracketed, port: Number(port), protocol };
}

/** What it said, which may be nothing; undefined where it does not answer. */
async function ask({ host, port, protocol }) {
  const limit = AbortSignal.timeout(patience);
  try {
    const address = await within(limit, lookup(host)).then((found) => found.address);
    return await (protocol === 'udp' ? askUdp(address, port, limit) : askTcp(address, port, limit));
  } catch {
    return undefined;
  }
}

function askTcp(host, port, limit) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const socket = connect({ host, port, signal: limit });
  let said = '';
  let connected = false;
  socket.setEncoding('utf8');
  socket.on('connect', () => {
    connected = true;
    socket.write(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  });
  socket.on('data', (text) => {
    said += text;
  });
  socket.on('error', () => {});
  socket.on('close', () => (connected ? resolve(bodyOf(said)) : reject(new Error('not connected'))));
  return promise;
}

function askUdp(host, port, limit) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', signal: limit });
  socket.on('message', (bytes) => {
    resolve(/^[\w.-]+\n$/.test(bytes.toString('latin1')) ? bytes.toString().trim() : '');
    socket.close();
  });
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('no answer')));
  socket.send(DNS_QUERY, port, host);
  return promise;
}

/** The body of an HTTP answer in one line. */
function bodyOf(text) {
  return (text.split('\r\n\r\n')[1] ?? '').trim().split('\n').at(-1);
}

function within(limit, promise) {
  return Promise.race([promise, new Promise((_, reject) => limit.addEventListener('abort', reject, { once: true }))]);
}

// resolve.ts TIMES NAME: asks the pod's DNS server for A and AAAA of a name, both at once from one
// socket as glibc does, then again with another socket. No question is repeated, so that a lost
// answer is missing. Prints how many answers of each type arrived.
import { createSocket } from 'node:dgram';
import { getServers } from 'node:dns';

const TYPES = { A: 1, AAAA: 28 } as const;
/** In ms, for the answers to both questions. */
const PATIENCE = 3000;

/** RFC 1035, section 4.1: one question, recursion desired. The query's id is its type. */
function query(type: number, name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
  return Buffer.concat([
    Buffer.from([0, type, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ...labels,
    Buffer.from([0, 0, type, 0, 1]),
  ]);
}

/** Returns the types that were answered. */
function ask(server: string, name: string): Promise<ReadonlySet<number>> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const answered = new Set<number>();
    const end = () => {
      clearTimeout(timer);
      socket.close();
      resolve(answered);
    };
    const timer = setTimeout(end, PATIENCE);
    socket.on('message', (message) => {
      answered.add(message.readUInt16BE(0));
      if (answered.size === 2) end();
    });
    for (const type of Object.values(TYPES)) socket.send(query(type, name), 53, server);
  });
}

const [times, name = ''] = process.argv.slice(2);
const [server = ''] = getServers();
const counts = { A: 0, AAAA: 0 };
for (let i = 0; i < Number(times); i++) {
  const answered = await ask(server, name);
  for (const type of ['A', 'AAAA'] as const) if (answered.has(TYPES[type])) counts[type]++;
}
console.log(JSON.stringify(counts));

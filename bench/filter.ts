/**
 * What a verdict costs, without the kernel: `node bench/filter.ts`. Nanoseconds of the thread's own CPU time a packet, the harness included
 * (about 10 ns: it writes one address into the packet and draws the next flow at random), minimum and median of several rounds.
 */
import { parseArgs } from 'node:util';
import { ESTABLISHED, INGRESS_DENIED } from '../src/filter/reasons.ts';
import { inlineMore } from '../src/sys/inlining.ts';
import { adviseHugePages } from '../src/sys/libc.ts';
import { DB, policy, port, rule, Scene } from '../test/filter/scene.ts';
import { ip, type Payload, tcp, udp } from '../test/packet/build.ts';

inlineMore();
const ROUNDS = 7;
const WARM_UP = 300_000;
/** Where an IPv4 packet has its addresses. */
const SOURCE = 12;
/** Spreads consecutive numbers over all addresses. */
const GOLDEN = 0x9e3779b1;

const { values } = parseArgs({ options: { packets: { type: 'string', default: '2000000' } } });
const packets = Number(values.packets);
if (!(packets > 0)) throw new RangeError(`--packets ${values.packets}: expected a number above 0`);

interface Row {
  readonly what: string;
  /** Judges `count` packets; gives back how many came out otherwise than they should. */
  readonly judge: (count: number) => number;
}

console.log(`${'ns a packet'.padEnd(44)}    min  median`);
for (const row of [established(1000), established(1_000_000), opened(1000), opened(1 << 20), denied()]) {
  row.judge(WARM_UP);
  const rounds = Array.from({ length: ROUNDS }, () => round(row)).sort((a, b) => a - b);
  const [least = 0, median = 0] = [rounds[0], rounds[ROUNDS >> 1]];
  console.log(`${row.what.padEnd(44)} ${least.toFixed(0).padStart(6)} ${median.toFixed(0).padStart(7)}`);
}

function round({ what, judge }: Row): number {
  const before = process.threadCpuUsage();
  const wrong = judge(packets);
  const { user, system } = process.threadCpuUsage(before);
  if (wrong > 0) throw new Error(`${what}: ${wrong} packets came out wrong`);
  return ((user + system) * 1000) / packets;
}

/** Packets of the opener, of flows drawn at random. */
function established(flows: number): Row {
  const scene = new Scene([policy('db', { ingress: [rule()], egress: [] })], 1 << 20);
  adviseHugePages(scene.filter.flows.words);
  adviseHugePages(scene.filter.flows.buckets);
  const syn = packet(tcp(1, 80, 'S'));
  for (let flow = 0; flow < flows; flow++) judgeFrom(scene, syn, Math.imul(flow, GOLDEN));
  const ack = packet(tcp(1, 80, 'A'));
  let random = 12_345;
  const judge = (count: number) => {
    let wrong = 0;
    for (let i = 0; i < count; i++) {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) | 0;
      if (judgeFrom(scene, ack, Math.imul((random >>> 8) % flows, GOLDEN)) !== ESTABLISHED) wrong++;
    }
    return wrong;
  };
  return { what: `established TCP, ${flows.toLocaleString('en')} flows`, judge };
}

/** Packets that each open a flow, in a table that is full. */
function opened(capacity: number): Row {
  const scene = new Scene([policy('db', { ingress: [rule([], [port(53, 'UDP')])], egress: [] })], capacity);
  const query = packet(udp(1, 53));
  let address = 0;
  const judge = (count: number) => {
    let wrong = 0;
    for (let i = 0; i < count; i++) {
      address = (address + GOLDEN) | 0;
      if (judgeFrom(scene, query, address) > ESTABLISHED) wrong++;
    }
    return wrong;
  };
  return { what: `new flow allowed, ${capacity.toLocaleString('en')} flows, evicting`, judge };
}

function denied(): Row {
  const scene = new Scene([policy('db', { ingress: [rule([], [port(53, 'UDP')])], egress: [] })], 1000);
  const syn = packet(tcp(1, 80, 'S'));
  let address = 0;
  const judge = (count: number) => {
    let wrong = 0;
    for (let i = 0; i < count; i++) {
      address = (address + GOLDEN) | 0;
      if (judgeFrom(scene, syn, address) !== INGRESS_DENIED) wrong++;
    }
    return wrong;
  };
  return { what: 'denied by policy', judge };
}

function packet(payload: Payload): DataView {
  const bytes = ip('9.0.0.1', DB, payload);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function judgeFrom(scene: Scene, view: DataView, source: number): number {
  view.setInt32(SOURCE, source);
  return scene.filter.judge(view, 0, view.byteLength, view.byteLength, scene.now);
}

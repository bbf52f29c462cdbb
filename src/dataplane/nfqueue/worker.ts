/**
 * The thread of one queue. It waits for packets, judges what has come as one batch, answers with one `send`, and goes on; commands of the main thread
 * are carried out between two batches, so that every verdict given before a command's `done` is already in force in the kernel. It never
 * returns to Node's event loop until it is told to stop, and nothing that the main thread does can hold it up.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { FlowTable } from '../../conntrack/flow-table.ts';
import { Filter } from '../../filter/filter.ts';
import { FIRST_DENY } from '../../filter/reasons.ts';
import { Packet } from '../../packet/packet.ts';
import { RuleTable } from '../../policy/rule-table.ts';
import { NF_ACCEPT, NF_DROP } from '../netlink/constants.ts';
import {
  CONTROL_SENT,
  COUNTER_BATCHES,
  COUNTER_FLOWS,
  COUNTER_OFFLOADED,
  COUNTER_UNANSWERED,
  type Command,
  type NumberedCommand,
  packetCounter,
  SEED_WORDS,
  type WorkerReport,
  type WorkerSetup,
} from './protocol.ts';
import { BATCH, QueueSocket } from './queue-socket.ts';
import { QueuedPacket } from './queued-packet.ts';
import { VerdictBatch } from './verdict-batch.ts';

/** An idle worker still wakes this often, in ms, to let flows expire. */
const IDLE_TICK = 1000;
/** Flows that one batch, or one idle tick, lets expire at most. */
const EXPIRE_BATCH = 64;
const EXPIRE_IDLE = 10_000;

const setup = workerData as WorkerSetup;
const port = parentPort as MessagePort;
const control = new Int32Array(setup.control);
const counters = new Float64Array(setup.counters);
const filter = new Filter(new FlowTable(setup.flowCapacity), new RuleTable(setup.table));
const queued = new QueuedPacket();
const seeded = new Packet();
const verdicts = new VerdictBatch(setup.queue, BATCH);
const socket = new QueueSocket(setup.queue, setup.wake, setup.failOpen);

let carriedOut = 0;
let stopping = false;

report({ type: 'started' });
while (!stopping) {
  const received = socket.receive();
  if (Atomics.load(control, CONTROL_SENT) !== carriedOut) carryOutCommands();
  if (received > 0) judgeBatch(received, now());
  // A full batch means that more is waiting; anything less, that the queue was emptied.
  if (received < BATCH && !stopping && !socket.wait(IDLE_TICK)) {
    filter.flows.expire(now(), EXPIRE_IDLE);
    count(COUNTER_FLOWS, filter.flows.size);
  }
}
socket.close();

/** The coarse clock: ms, as an int32 that wraps. Read once a batch. */
function now(): number {
  return performance.now() | 0;
}

function judgeBatch(received: number, time: number): void {
  verdicts.clear();
  for (let i = 0; i < received; i++) {
    if (!queued.read(socket.view, socket.messageStart(i), socket.messageEnd(i))) continue;
    const reason = filter.judge(socket.view, queued.payloadOffset, queued.payloadLength, queued.totalLength, time);
    const counter = packetCounter(filter.direction, reason);
    counters[counter] = (counters[counter] ?? 0) + 1;
    if (reason < FIRST_DENY) {
      verdicts.add(queued.id, NF_ACCEPT, queued.mark | setup.judgedBit);
      if (setup.offload) increment(COUNTER_OFFLOADED);
    } else if (setup.rejectBit !== 0) {
      verdicts.add(queued.id, NF_ACCEPT, queued.mark | setup.rejectBit);
    } else {
      verdicts.add(queued.id, NF_DROP, queued.mark);
    }
  }
  if (verdicts.length > 0 && !socket.answer(verdicts)) increment(COUNTER_UNANSWERED);
  filter.flows.expire(time, EXPIRE_BATCH);
  increment(COUNTER_BATCHES);
  count(COUNTER_FLOWS, filter.flows.size);
}

function increment(counter: number): void {
  counters[counter] = (counters[counter] ?? 0) + 1;
}

function count(counter: number, value: number): void {
  counters[counter] = value;
}

function carryOutCommands(): void {
  for (;;) {
    const received: { message: NumberedCommand } | undefined = receiveMessageOnPort(port);
    if (received === undefined) return;
    carryOut(received.message.command);
    carriedOut = received.message.number;
    report({ type: 'done', number: received.message.number });
  }
}

function carryOut(command: Command): void {
  switch (command.type) {
    case 'table':
      filter.useTable(new RuleTable(command.table));
      break;
    case 'seed':
      seed(command.flows);
      break;
    case 'adopt':
      filter.adoptUntil = (now() + command.milliseconds) | 0;
      break;
    case 'stop':
      stopping = true;
      break;
  }
}

function seed(flows: Int32Array): void {
  const time = now();
  for (let at = 0; at + SEED_WORDS <= flows.length; at += SEED_WORDS) {
    const word = (index: number) => flows[at + index] ?? 0;
    seeded.family = word(0) === 6 ? 6 : 4;
    seeded.protocol = word(1);
    seeded.src0 = word(2);
    seeded.src1 = word(3);
    seeded.src2 = word(4);
    seeded.src3 = word(5);
    seeded.dst0 = word(6);
    seeded.dst1 = word(7);
    seeded.dst2 = word(8);
    seeded.dst3 = word(9);
    seeded.srcPort = word(10);
    seeded.dstPort = word(11);
    seeded.icmpType = word(12);
    filter.seed(seeded, word(13) === 1 ? 'revoked' : 'established', time);
  }
}

function report(message: WorkerReport): void {
  port.postMessage(message);
}

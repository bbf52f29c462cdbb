/**
 * The thread of one queue. It carries out commands until one tells it to bind its queue; then it waits for packets, judges what has come as one batch, answers with one `send`, and goes on; commands of the main thread
 * are carried out between two batches, so that every verdict given before a command's `done` is already in force in the kernel. It never
 * returns to Node's event loop until it is told to stop, and nothing that the main thread does can hold it up.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { FlowTable } from '../../conntrack/flow-table.ts';
import { LOOKAHEAD_FROM } from '../../conntrack/lookahead.ts';
import { OTHER } from '../../conntrack/states.ts';
import { Filter } from '../../filter/filter.ts';
import {
  ADOPTED,
  ALLOWED_BY_POLICY,
  EGRESS_DENIED,
  FIRST_DENY,
  FRAGMENT,
  INGRESS_DENIED,
  MID_STREAM,
  NOT_ISOLATED,
  REVOKED,
} from '../../filter/reasons.ts';
import { Packet } from '../../packet/packet.ts';
import { RuleTable } from '../../policy/rule-table.ts';
import { inlineMore } from '../../sys/engine.ts';
import { adviseHugePages } from '../../sys/libc.ts';
import { NF_ACCEPT, NF_DROP } from '../netlink/constants.ts';
import { WorkerCounters } from './counters.ts';
import { FlowEvents } from './flow-events.ts';
import {
  CONTROL_SENT,
  CONTROL_SOCKET,
  type Command,
  type NumberedCommand,
  SEED_WORDS,
  type WorkerReport,
  type WorkerSetup,
} from './protocol.ts';
import { BATCH, QUEUE_LENGTH, QueueSocket } from './queue-socket.ts';
import { QueuedPacket } from './queued-packet.ts';
import { VerdictBatch } from './verdict-batch.ts';

/** An idle worker still wakes this often, in ms, to let flows expire. */
const IDLE_TICK = 1000;
/**
 * Of a TCP connection that the kernel carries on, the worker sees the SYN alone, and then nothing until the kernel has forgotten it: half closed and silent
 * for a minute is enough (nf_conntrack_tcp_timeout_close_wait). So long, in ms, the next packet finds that it was allowed.
 */
const OFFLOADED = { tcpSynSent: 15 * 60_000 };
/** What the flow table holds is told the main thread at most this often, in ms. */
const REPORT_INTERVAL = 100;
/** Flows that one batch, or one idle tick, lets expire at most. */
const EXPIRE_BATCH = 64;
const EXPIRE_IDLE = 10_000;

const setup = workerData as WorkerSetup;
const port = parentPort as MessagePort;
const control = new Int32Array(setup.control);
const counters = new WorkerCounters(setup.counters);
const events = setup.events && new FlowEvents(setup.events);
const flows = new FlowTable(setup.flowCapacity, setup.offload ? OFFLOADED : {});
adviseHugePages(flows.words);
adviseHugePages(flows.buckets);
inlineMore();
const filter = new Filter(flows, new RuleTable(setup.table));
const queued = new QueuedPacket();
const seeded = new Packet();
const verdicts = new VerdictBatch(setup.queue, BATCH);

let carriedOut = 0;
let stopping = false;
let reportedAt = 0;

let socket: QueueSocket | undefined;

while (socket === undefined && !stopping) {
  Atomics.wait(control, CONTROL_SENT, carriedOut);
  carryOutCommands();
}
if (socket !== undefined) serve(socket);

function serve(queue: QueueSocket): void {
  while (!stopping) {
    const received = queue.receive();
    if (received > 0) judgeBatch(queue, received);
    if (Atomics.load(control, CONTROL_SENT) !== carriedOut) carryOutCommands();
    // A full batch means that more is waiting; anything less, that the queue was emptied.
    if (received < BATCH && !stopping && !queue.wait(IDLE_TICK)) tidy(now(), EXPIRE_IDLE);
  }
}

/** The coarse clock: ms, as an int32 that wraps. Read once a batch. */
function now(): number {
  return performance.now() | 0;
}

/** Judges the messages that were received last. */
function judgeBatch(queue: QueueSocket, received: number): void {
  const start = performance.now();
  const time = start | 0;
  verdicts.clear();
  if (flows.size >= LOOKAHEAD_FROM) lookAhead(queue, received);
  for (let i = 0; i < received; i++) {
    if (!queued.read(queue.view, queue.messageStart(i), queue.messageEnd(i))) continue;
    const reason = filter.judge(queue.view, queued.payloadOffset, queued.payloadLength, queued.totalLength, time);
    counters.countPacket(filter.direction, reason);
    if (events !== undefined && opensOrIsDenied(reason)) tell(events, reason);
    if (reason < FIRST_DENY) {
      verdicts.add(queued.id, NF_ACCEPT, queued.mark | setup.judgedBit);
      if (setup.offload) counters.countOffloaded();
    } else if (setup.rejectBit !== 0) {
      verdicts.add(queued.id, NF_ACCEPT, queued.mark | setup.rejectBit);
    } else {
      verdicts.add(queued.id, NF_DROP, queued.mark);
    }
  }
  if (verdicts.length > 0 && !queue.answer(verdicts)) counters.countUnanswered();
  counters.observeLatency((performance.now() - start) / 1000, received);
  tidy(time, EXPIRE_BATCH);
}

function lookAhead(queue: QueueSocket, received: number): void {
  for (let i = 0; i < received; i++) {
    if (!queued.read(queue.view, queue.messageStart(i), queue.messageEnd(i))) continue;
    filter.announce(queue.view, queued.payloadOffset, queued.payloadLength, queued.totalLength);
  }
  flows.lookahead.read();
}

/** Is it the first packet of a flow, or one that is denied? Of what belongs to an open flow, or never is a matter of policies, nobody is told. */
function opensOrIsDenied(reason: number): boolean {
  switch (reason) {
    case NOT_ISOLATED:
    case ALLOWED_BY_POLICY:
    case ADOPTED:
    case EGRESS_DENIED:
    case INGRESS_DENIED:
    case MID_STREAM:
    case REVOKED:
    case FRAGMENT:
      return true;
    default:
      return false;
  }
}

/** A revoked flow is told of as it was opened, whichever way the packet goes, and not by the ICMP errors about it. */
function tell(events: FlowEvents, reason: number): void {
  const { packet } = filter;
  if (reason === REVOKED && packet.quotesFlow) return;
  events.write(packet, reason, filter.direction, reason === REVOKED && filter.flows.side === OTHER);
}

/** Judges what is in the queue now: that is at most its whole length, however much comes meanwhile. */
function drain(queue: QueueSocket): void {
  for (let left = QUEUE_LENGTH; left > 0; left -= BATCH) {
    const received = queue.receive();
    if (received > 0) judgeBatch(queue, received);
    if (received < BATCH) return;
  }
}

function tidy(time: number, expire: number): void {
  filter.flows.expire(time, expire);
  if (((time - reportedAt) | 0) < REPORT_INTERVAL) return;
  reportedAt = time;
  counters.observeFlows(filter.flows);
}

function carryOutCommands(): void {
  for (;;) {
    const received: { message: NumberedCommand } | undefined = receiveMessageOnPort(port);
    if (received === undefined) return;
    carryOut(received.message.command);
    carriedOut = received.message.number;
    port.postMessage({ done: carriedOut } satisfies WorkerReport);
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
    case 'adopt-mid-stream':
      filter.adoption.adoptMidStream((now() + command.milliseconds) | 0);
      break;
    case 'adopt-while-growing':
      filter.adoption.adoptWhileGrowing(command.what, (now() + command.milliseconds) | 0);
      break;
    case 'drain':
      if (socket !== undefined) drain(socket);
      break;
    case 'bind':
      socket = new QueueSocket(setup.queue, setup.wake, setup.failOpen);
      Atomics.store(control, CONTROL_SOCKET, socket.fd);
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

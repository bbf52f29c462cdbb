/**
 * The thread of one queue. It carries out commands until one tells it to bind its queue. Then it
 * judges packets in batches: it receives what has arrived, judges it, and returns the verdicts with
 * one `send`. It carries out commands between batches, so every verdict given before a command's
 * `done` is in force in the kernel. It never returns to Node's event loop until it is told to stop,
 * and nothing that the main thread does can hold it up.
 */
import { workerData } from 'node:worker_threads';
import { LOOKAHEAD_FROM } from '../../conntrack/lookahead.ts';
import { FIRST_DENY, opensOrIsDenied } from '../../filter/reasons.ts';
import { commandFilter } from '../../judging/filter-commands.ts';
import { judgingParts } from '../../judging/judging-parts.ts';
import type { Command } from '../../judging/protocol.ts';
import { tell } from '../../judging/sightings.ts';
import { NF_ACCEPT, NF_DROP } from '../../netlink/constants.ts';
import { type CommandChannel, CommandInbox } from '../../sys/commanded-thread.ts';
import { yieldProcessor } from '../../sys/libc.ts';
import { BusyPolling } from './busy-polling.ts';
import { BATCH, QUEUE_LENGTH, QueueSocket } from './queue-socket.ts';
import { QueuedPacket } from './queued-packet.ts';
import { VerdictBatch } from './verdict-batch.ts';
import type { WorkerSetup } from './worker-setup.ts';

/** An idle worker wakes this often, in ms, to expire flows. */
const IDLE_TICK = 1000;
/** The main thread sees the flow table's sizes at most this often, in ms. */
const REPORT_INTERVAL = 100;
/** Most flows that one batch, or one idle tick, expires. */
const EXPIRE_BATCH = 64;
const EXPIRE_IDLE = 10_000;

const setup = workerData as WorkerSetup & CommandChannel;
const inbox = new CommandInbox<Command>();
const { filter, counters, events } = judgingParts(setup);
const { flows } = filter;
const queued = new QueuedPacket();
const verdicts = new VerdictBatch(setup.queue, BATCH);

let stopping = false;
let reportedAt = 0;

let socket: QueueSocket | undefined;

while (socket === undefined && !stopping) {
  inbox.wait();
  inbox.carryOut(carryOut);
}
if (socket !== undefined) serve(socket);

function serve(queue: QueueSocket): void {
  const polling = new BusyPolling();
  while (!stopping) {
    const received = queue.receive();
    if (received > 0) {
      judgeBatch(queue, received);
      polling.found();
    }
    if (!inbox.isEmpty) inbox.carryOut(carryOut);
    // After a full batch more may be waiting; a smaller one has emptied the queue.
    if (received === BATCH || stopping) continue;
    if (polling.looksAgain()) yieldProcessor();
    else polling.slept(sleep(queue));
  }
}

/** Sleeps until a packet or a command comes, IDLE_TICK at most. Returns the time slept in ms. */
function sleep(queue: QueueSocket): number {
  const start = performance.now();
  const woken = queue.wait(IDLE_TICK);
  const end = performance.now();
  if (!woken) tidy(end | 0, EXPIRE_IDLE);
  return end - start;
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
    const passes = reason < FIRST_DENY || filter.isAudited;
    counters.countPacket(filter.direction, reason, filter.isAudited);
    if (events !== undefined && opensOrIsDenied(reason)) tell(events, filter, reason);
    if (passes) {
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

/** Judges what is in the queue now: its whole length at most, however much arrives meanwhile. */
function drain(queue: QueueSocket): void {
  for (let left = QUEUE_LENGTH; left > 0; left -= BATCH) {
    const received = queue.receive();
    if (received > 0) judgeBatch(queue, received);
    if (received < BATCH) return;
  }
}

function tidy(time: number, expire: number): void {
  flows.expire(time, expire);
  if (((time - reportedAt) | 0) < REPORT_INTERVAL) return;
  reportedAt = time;
  counters.observeFlows(flows);
}

function carryOut(command: Command): void {
  switch (command.type) {
    case 'drain':
      if (socket !== undefined) drain(socket);
      break;
    case 'bind':
      socket = new QueueSocket(setup.queue, setup.wake, setup.failOpen);
      Atomics.store(new Int32Array(setup.socket), 0, socket.fd);
      break;
    case 'stop':
      stopping = true;
      break;
    default:
      commandFilter(filter, command, now());
  }
}

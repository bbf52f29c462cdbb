/**
 * The thread that judges copies of packets. Nothing waits for it: what it judges has gone on long ago. It carries out commands until one tells it to begin, then it
 * takes copies, a batch at a time, and commands between two batches. It never returns to Node's event loop until it is told to stop.
 *
 * A connection whose packets the kernel does not copy, because it is established, is judged when the thread gets to know it, and counts as one packet.
 */
import { workerData } from 'node:worker_threads';
import { readerOf } from '../../capture/capture.ts';
import { linkTypeOf } from '../../capture/capture-messages.ts';
import { EventWaiter } from '../../capture/frame-ring.ts';
import { OTHER } from '../../conntrack/states.ts';
import { MALFORMED, opensOrIsDenied, REVOKED } from '../../filter/reasons.ts';
import { LinkFrame } from '../../frames/link-frame.ts';
import { commandFilter } from '../../judging/filter-commands.ts';
import { judgingParts } from '../../judging/judging-parts.ts';
import type { Command } from '../../judging/protocol.ts';
import { tell } from '../../judging/sightings.ts';
import type { Packet } from '../../packet/packet.ts';
import { type CommandChannel, CommandInbox } from '../../sys/commanded-thread.ts';
import type { CopySetup } from './copy-setup.ts';

/** Copies that are judged between two looks at the commands, */
const BATCH = 64;
/** and those that are judged at once when all are meant that have come: as many as the ring holds at most (frame-ring.ts), however many come meanwhile. */
const ALL = 1 << 15;
/** An idle thread still wakes this often, in ms, to let flows expire. */
const TICK = 1000;
/** What the flow table holds is told the main thread at most this often, in ms. */
const REPORT_INTERVAL = 100;
/** Flows that one batch lets expire at most. */
const EXPIRE = 64;
const LITTLE_ENDIAN = true;

const setup = workerData as CopySetup & CommandChannel;
const inbox = new CommandInbox<Command>();
const { filter, counters, events } = judgingParts(setup);
const frame = new LinkFrame();
const ring = readerOf(setup.capture);
const waiter = new EventWaiter([setup.wake, setup.capture.wake]);

let judging = false;
let stopping = false;
let reportedAt = 0;

while (!judging && !stopping) {
  inbox.wait();
  inbox.carryOut(carryOut);
}
while (!stopping) {
  const taken = judgeBatch();
  if (!inbox.isEmpty) inbox.carryOut(carryOut);
  if (taken === 0 && !stopping && ring.mayWait()) waiter.wait(TICK);
}

/** The coarse clock: ms, as an int32 that wraps. Read once a batch. */
function now(): number {
  return performance.now() | 0;
}

/** Gives back how many there were. */
function judgeBatch(): number {
  const time = now();
  let taken = 0;
  for (; taken < BATCH && ring.next(); taken++) judge(time);
  if (taken > 0) ring.release();
  filter.flows.expire(time, EXPIRE);
  if (((time - reportedAt) | 0) >= REPORT_INTERVAL) {
    reportedAt = time;
    counters.observeFlows(filter.flows);
  }
  return taken;
}

function judge(time: number): void {
  const { view, offset, length, realLength, tag } = ring;
  frame.read(view, offset, length, realLength, linkTypeOf(tag), LITTLE_ENDIAN);
  if (!frame.isIp) return;
  const reason = filter.judge(view, frame.payload, frame.captured, frame.length, time);
  // No policy is about what cannot be decoded, but here it has passed.
  counters.countPacket(filter.direction, reason, filter.isAudited || reason === MALFORMED);
  if (events !== undefined && opensOrIsDenied(reason)) tell(events, filter, reason);
}

function carryOut(command: Command): void {
  switch (command.type) {
    case 'drain':
      for (let left = ALL; left > 0 && judgeBatch() > 0; left -= BATCH);
      break;
    case 'bind':
      judging = true;
      break;
    case 'stop':
      stopping = true;
      break;
    default:
      commandFilter(filter, command, now(), tellOfSeeded);
  }
}

function tellOfSeeded(flow: Packet): void {
  if (!filter.judgeSeeded(flow, now())) return;
  counters.countPacket(filter.direction, REVOKED, true);
  events?.write(flow, REVOKED, filter.direction, true, filter.side === OTHER);
}

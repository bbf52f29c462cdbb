/**
 * The thread that judges copies of packets. Nothing waits for it: the packets have long passed. It
 * carries out commands until one tells it to begin. Then it judges copies in batches, and carries
 * out commands between them. It never returns to Node's event loop until it is told to stop.
 *
 * The kernel does not copy packets of established connections. The thread judges such a connection
 * when it is seeded, and counts it as one packet.
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

/** Most copies judged between two looks at the commands. */
const BATCH = 64;
/**
 * Most copies that `drain` judges: as many as the ring can contain (frame-ring.ts), however many
 * arrive meanwhile.
 */
const ALL = 1 << 15;
/** An idle thread wakes this often, in ms, to expire flows. */
const TICK = 1000;
/** The main thread sees the flow table's sizes at most this often, in ms. */
const REPORT_INTERVAL = 100;
/** Most flows that one batch expires. */
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

/** Judges a batch of copies. Returns how many. */
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
  // A malformed packet is denied, but this one has passed: count it as audited.
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

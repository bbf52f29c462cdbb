/**
 * The thread that judges captured frames and, on a wire, sends the allowed ones on. It takes one
 * batch from each capture in turn, so that a flood on one side gets no more than its share. Like a
 * queue's worker it does not return to Node's event loop until it is told to stop.
 */
import { workerData } from 'node:worker_threads';
import { readerOf } from '../capture/capture.ts';
import { linkTypeOf } from '../capture/capture-messages.ts';
import { EventWaiter, type FrameRingReader } from '../capture/frame-ring.ts';
import { FlowTable } from '../conntrack/flow-table.ts';
import { Filter } from '../filter/filter.ts';
import { FlowEvents } from '../flows/flow-events.ts';
import { EARLY_FRAGMENT, FrameJudge, NOT_IP, SERVICE } from '../frames/frame-judge.ts';
import { Places } from '../frames/places.ts';
import { FrameCounters } from '../judging/frame-counters.ts';
import { RuleTable } from '../policy/rule-table.ts';
import { type CommandChannel, CommandInbox } from '../sys/commanded-thread.ts';
import { inlineMore } from '../sys/engine.ts';
import { adviseHugePages } from '../sys/libc.ts';
import { Cables } from '../wire/cables.ts';
import { BATCH } from '../wire/packet-socket.ts';
import type { JudgeCommand, JudgeSetup } from './frame-messages.ts';

/** How often an idle thread wakes, flows expire and interfaces are checked, in ms. */
const TICK = 200;
/** Most flows that one tick expires in each of the judge's two tables. */
const EXPIRE = 10_000;
const LITTLE_ENDIAN = true;

const setup = workerData as JudgeSetup & CommandChannel;
const inbox = new CommandInbox<JudgeCommand>();
const counters = new FrameCounters(setup.counters);
const events = new FlowEvents(setup.events);
const flows = new FlowTable(setup.flowCapacity);
adviseHugePages(flows.words);
adviseHugePages(flows.buckets);
inlineMore();
const judge = new FrameJudge(new Filter(flows, new RuleTable(setup.table)), new Places(setup.places), {
  observes: setup.observes,
  flowCapacity: setup.flowCapacity,
  tell: (packet, reason, direction, audited, reversed) => events.write(packet, reason, direction, audited, reversed),
});
if (setup.adopt > 0) judge.filter.adoption.adoptMidStream((now() + setup.adopt) | 0);
const rings = setup.captures.map(readerOf);
const cables = setup.wire && new Cables(setup.wire, judge, counters);
const waiter = new EventWaiter(
  [setup.wake, ...setup.captures.map(({ wake }) => wake)],
  cables === undefined ? [] : [cables.udp.fd],
);

let stopping = false;
let tickedAt = now();

while (!stopping) turn();

/** The coarse clock: ms, as an int32 that wraps. Read once a batch. */
function now(): number {
  return performance.now() | 0;
}

/** Judges a batch from each side and carries out commands. Waits if there was nothing to judge. */
function turn(): void {
  const time = now();
  let taken = cables?.takeUdp(time) ?? 0;
  for (const [side, ring] of rings.entries()) taken += judgeBatch(ring, side, time);
  if (!inbox.isEmpty) inbox.carryOut(carryOut);
  if (((time - tickedAt) | 0) >= TICK) tick(time);
  if (taken === 0 && !stopping && rings.every((ring) => ring.mayWait())) waiter.wait(TICK);
}

function judgeBatch(ring: FrameRingReader, side: number, time: number): number {
  let taken = 0;
  for (; taken < BATCH && ring.next(); taken++) {
    if (cables !== undefined) cables.take(ring, side, time);
    else observe(ring, time);
  }
  if (taken === 0) return 0;
  cables?.flush();
  ring.release();
  return taken;
}

function observe({ view, offset, length, realLength, tag }: FrameRingReader, time: number): void {
  const reason = judge.judge(view, offset, length, realLength, linkTypeOf(tag), LITTLE_ENDIAN, time);
  if (reason >= 0) counters.countReason(reason, judge.isAudited);
  else if (reason === NOT_IP) counters.count('notIp');
  else if (reason === SERVICE) counters.count('services');
  else if (reason === EARLY_FRAGMENT) counters.count('fragmentsLost');
}

function tick(time: number): void {
  tickedAt = time;
  judge.expire(time, EXPIRE);
  cables?.refresh();
}

function carryOut(command: JudgeCommand): void {
  switch (command.type) {
    case 'cluster':
      judge.filter.useTable(new RuleTable(command.table));
      judge.places = new Places(command.places);
      break;
    case 'begin':
      break;
    case 'stop':
      stopping = true;
      break;
  }
}

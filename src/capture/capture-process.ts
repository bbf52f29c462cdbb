/**
 * A process that captures with libpcap and does nothing else. It writes every frame into the ring
 * that it shares with its parent, which judges them. A fault in the native library, or a flood that
 * never lets the event loop turn, ends with this process; the parent starts another.
 *
 * `cap` 0.2.1 has three traps (its src/binding.cc). It copies frames into a buffer by a raw
 * pointer, so this process keeps a reference to the buffer while the capture is open. It reads as
 * long as there are frames, so all work happens in its callback. It aborts the process when an
 * interface vanishes or goes down.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as link from '../frames/link-frame.ts';
import { leaveNoCore } from '../sys/no-core.ts';
import { dieWithParent } from '../sys/parent-death.ts';
import { mapShared } from '../sys/shared-memory.ts';
import { attachFilter } from '../sys/socket-filter.ts';
import { type CaptureReport, type CaptureSetup, CUT, MEMORY_FD, ROOM_FD, tagOf, WAKE_FD } from './capture-messages.ts';
import { FrameRingWriter, RING_BYTES } from './frame-ring.ts';
import { Interface } from './interfaces.ts';
import { isNflog, NflogSocket } from './nflog-socket.ts';
import { INCOMING_BUT_UDP, NO_FRAMES } from './packet-filter.ts';
import { takeStatistics } from './packet-statistics.ts';

/** How often missing interfaces are tried again and dropped frames are counted, in ms. */
const RETRY = 100;
/**
 * Dropped frames are also counted after this many frames: the timer does not fire while frames keep
 * coming.
 */
const FRAMES_BETWEEN_LOOKS = 4096;
/** The snapshot length that cap sets. */
const LONGEST_FRAME = 65_535;

/** The part of the package `cap` that is used here. */
interface Cap {
  open(device: string, filter: string, bufferSize: number, buffer: Buffer): string;
  on(event: 'packet', listener: (length: number, truncated: boolean) => void): void;
}

/** An open interface, with the reference that keeps cap's buffer alive. */
interface Open {
  readonly cap: Cap;
  readonly buffer: Buffer;
  readonly own: Interface;
  /** Frames that the kernel dropped since the last call. */
  readonly takeDropped: () => number;
}

const [, , parent, text = '{}'] = process.argv;
dieWithParent(Number(parent));
leaveNoCore();
// Ctrl-C reaches every process of the terminal; the parent decides when this one ends.
process.on('SIGINT', () => undefined);

const setup = JSON.parse(text) as CaptureSetup;
const ring = new FrameRingWriter(mapShared(MEMORY_FD, RING_BYTES), WAKE_FD, ROOM_FD);
const open = new Map<number, Open>();
let untilLook = FRAMES_BETWEEN_LOOKS;

const module = load();
if (module !== undefined) {
  openMissing(module);
  setInterval(() => {
    endWhereAnotherHasTheName();
    openMissing(module);
    lookForDrops();
  }, RETRY);
}

function report(message: CaptureReport): void {
  process.send?.(message);
}

function load(): { readonly Cap: new () => Cap } | undefined {
  try {
    return createRequire(import.meta.url)('cap');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    report({ type: 'unavailable', message: `${code ?? 'error'}: ${message.split('\n')[0]}` });
    process.disconnect?.();
    return undefined;
  }
}

function openMissing({ Cap }: { readonly Cap: new () => Cap }): void {
  for (const [index, name] of setup.interfaces.entries()) {
    if (open.has(index)) continue;
    try {
      open.set(index, openInterface(new Cap(), index, name));
      report({ type: 'open', index });
    } catch (error) {
      const { message } = error as Error;
      report(
        /permission|not permitted/.test(message)
          ? { type: 'unavailable', message }
          : { type: 'closed', index, message },
      );
    }
  }
}

/**
 * Exits when a name no longer means the interface that was opened under it. cap cannot close a
 * capture without a fault, so the parent starts a new process.
 */
function endWhereAnotherHasTheName(): void {
  for (const { own } of open.values()) {
    if (!own.refresh()) continue;
    process.stderr.write(`the interface ${own.name} was removed, renamed or replaced\n`);
    process.exit();
  }
}

function openInterface(cap: Cap, index: number, name: string): Open {
  const buffer = Buffer.alloc(LONGEST_FRAME);
  const own = new Interface(name);
  own.refresh();
  const before = sockets();
  const tag = tagOf(index, linkTypeOf(cap.open(name, '', setup.bufferBytes, buffer)));
  const socket = [...sockets()].find((fd) => !before.has(fd));
  const isCopy = isNflog(name);
  const takeDropped = droppedAt(socket, isCopy);
  let unfiltered = setup.frames === 'all' ? 0 : filterFrom(socket);
  cap.on('packet', (length) => {
    if (unfiltered > 0) {
      unfiltered--;
      return;
    }
    // Neither cap nor NFLOG reports the real length of what it has cut.
    const realLength = isCopy || length === LONGEST_FRAME ? CUT : length;
    ring.write(buffer, Math.min(length, setup.snapLength), realLength, tag);
    if (--untilLook === 0) lookForDrops();
  });
  return { cap, buffer, own, takeDropped };
}

function droppedAt(socket: number | undefined, isCopy: boolean): () => number {
  if (socket === undefined) return () => 0;
  if (!isCopy) return () => takeStatistics(socket).dropped;
  const nflog = new NflogSocket(socket, setup.bufferBytes);
  return () => nflog.takeDropped();
}

/** Filters what the socket receives from now on. Returns how many frames it received before. */
function filterFrom(socket: number | undefined): number {
  // Unfiltered, a wire would capture what it sends.
  if (socket === undefined) throw new Error('the socket of libpcap was not found in /proc/self/fd');
  attachFilter(socket, NO_FRAMES);
  const { frames, dropped } = takeStatistics(socket);
  attachFilter(socket, INCOMING_BUT_UDP);
  return frames - dropped;
}

/** cap names the link types that it decodes, and gives the number of the others. */
function linkTypeOf(name: string): number {
  switch (name) {
    case 'ETHERNET':
      return link.LINKTYPE_ETHERNET;
    case 'RAW':
      return link.LINKTYPE_RAW;
    case 'LINKTYPE_LINUX_SLL':
      return link.LINKTYPE_LINUX_SLL;
    case 'NULL':
      return link.LINKTYPE_NULL;
    default:
      return Number(/\d+$/.exec(name)?.[0] ?? Number.NaN) & 0xffff;
  }
}

/**
 * Returns this process's sockets. cap reports neither which socket it opened nor what was dropped.
 */
function sockets(): ReadonlySet<number> {
  const isSocket = (fd: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  };
  return new Set(readdirSync('/proc/self/fd').filter(isSocket).map(Number));
}

function lookForDrops(): void {
  untilLook = FRAMES_BETWEEN_LOOKS;
  for (const { takeDropped } of open.values()) ring.countDropped(takeDropped());
}

/** Properties of readers of both capture formats: see the two targets. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { REASONS } from '../../src/filter/reasons.ts';
import { LinkFrame } from '../../src/frames/link-frame.ts';
import { readCapture } from '../../src/replay/capture-file.ts';
import { CaptureFileError, type CaptureFormat } from '../../src/replay/capture-format.ts';
import { Scene } from '../filter/scene.ts';
import { cooked, ethernet, nflog, type Recorded } from '../replay/capture-bytes.ts';
import { mutate } from './mutate.ts';
import { packet } from './packets.ts';
import type { Random } from './random.ts';
import { alone, surrounded } from './surroundings.ts';
import { check, checkSame } from './target.ts';

/** One input in this many is also read from a file. */
const FILES = 16;
/**
 * The longest packet that a reader may return (libpcap's MAXIMUM_SNAPLEN), and the last valid time
 * (ECMA-262).
 */
const LONGEST = 262_144;
const LAST_TIME = 8.64e15;

/**
 * LINKTYPE_ numbers, each with a function that puts a packet into such a frame; podfence does not
 * know the last ones.
 */
const LINKS: readonly (readonly [type: number, wrap: (random: Random, packet: Uint8Array) => Uint8Array])[] = [
  [
    1,
    (random, bytes) =>
      ethernet(
        bytes,
        random.some(5, () => random.below(4096)),
      ),
  ],
  [113, (_, bytes) => cooked(bytes, 1)],
  [276, (_, bytes) => cooked(bytes, 2)],
  [239, (random, bytes) => nflog(bytes, random.oneIn(2))],
  [101, (_, bytes) => bytes],
  [228, (_, bytes) => bytes],
  [0, (_, bytes) => Uint8Array.of(2, 0, 0, 0, ...bytes)],
  [108, (_, bytes) => Uint8Array.of(0, 0, 0, 2, ...bytes)],
  [127, (random) => random.bytes(20)],
];

/** Returns up to a handful of packets, and the link types of their interfaces. */
export function recorded(random: Random, interfaces: number): { linkTypes: number[]; packets: Recorded[] } {
  const links = Array.from({ length: interfaces }, () => random.pick(LINKS));
  const packets = random.some(5, () => {
    const link = random.below(interfaces);
    const [, wrap] = links[link] as (typeof LINKS)[number];
    const whole = wrap(random, packet(random));
    const frame = random.oneIn(3) ? mutate(random, whole) : whole;
    const bytes = frame.subarray(0, random.oneIn(4) ? random.below(frame.length + 1) : frame.length);
    const time = random.pick([0, 1, 1_700_000_000_000, random.below(2 ** 31) * 1000 + random.below(1000)]);
    return { bytes, time, link, length: frame.length };
  });
  return { linkTypes: links.map(([type]) => type), packets };
}

interface Taken {
  readonly at: number;
  readonly captured: number;
  readonly length: number;
  readonly time: number;
  readonly linkType: number;
  readonly littleEndian: boolean;
  /** The result of judging it. */
  readonly reason: string;
}

interface Reading {
  readonly packets: readonly Taken[];
  /** The number of consumed bytes; or the error, and its place. */
  readonly end: number | string;
}

const frame = new LinkFrame();
const scene = new Scene();

/**
 * Reads the input as a whole, in pieces and among other bytes: the packets must be the same, and
 * each must lie within the input.
 */
export function checkReader(
  input: Uint8Array,
  open: (magic: number) => CaptureFormat | undefined,
): Reading | undefined {
  if (input.length < 4) return undefined;
  const whole = read(input, open, [input.length], 0);
  if (whole === undefined) return undefined;
  const half = input.length >> 1;
  for (const cuts of [[half, input.length], pieces(input.length)]) {
    checkSame(read(input, open, cuts, 0), whole, `read in ${cuts.length} pieces it is a different file`);
  }
  for (const { offset } of surrounded(input)) {
    checkSame(read(input, open, [input.length], offset), whole, 'what is read depends on bytes around it');
  }
  return whole;
}

function pieces(length: number): number[] {
  const size = 1 + (length % 61);
  return [...Array.from({ length: Math.floor(length / size) }, (_, i) => (i + 1) * size), length];
}

/** @param cuts how much of the file is known at each call */
function read(
  input: Uint8Array,
  open: (magic: number) => CaptureFormat | undefined,
  cuts: readonly number[],
  offset: number,
): Reading | undefined {
  const place = offset === 0 ? alone(input) : surrounded(input).find((each) => each.offset === offset);
  if (place === undefined) throw new Error(`nothing is at ${offset}`);
  const { view } = place;
  const format = open(view.getUint32(offset));
  if (format === undefined) return undefined;
  const packets: Taken[] = [];
  let at = 0;
  for (const cut of cuts) {
    try {
      const next = format.read(
        view,
        offset + at,
        offset + cut,
        (_, from, captured, length, time, linkType, littleEndian) => {
          const begin = from - offset;
          check(begin >= at && captured >= 0 && begin + captured <= cut, 'a packet lies outside of the input');
          check(captured <= length, `${captured} bytes are captured of ${length}`);
          check(captured <= LONGEST || format.name === 'pcap', `a packet of ${captured} bytes`);
          check(Number.isNaN(time) || Math.abs(time) <= LAST_TIME, `the time ${time} does not exist`);
          const reason = judge(view, from, captured, length, linkType, littleEndian);
          packets.push({ at: begin, captured, length, time, linkType, littleEndian, reason });
        },
      );
      check(next - offset >= at && next - offset <= cut, 'more was consumed than was given');
      at = next - offset;
    } catch (error) {
      if (!(error instanceof CaptureFileError)) throw error;
      check(error.at >= offset + at && error.at <= offset + cut, 'the error is outside of the input');
      return { packets, end: `${error.message} at ${error.at - offset}` };
    }
  }
  return { packets, end: at };
}

function judge(view: DataView, from: number, captured: number, length: number, linkType: number, isLittle: boolean) {
  frame.read(view, from, captured, length, linkType, isLittle);
  if (!frame.isIp) return 'no IP';
  check(frame.payload >= from, 'the IP packet begins before its frame');
  check(frame.captured >= 0 && frame.payload + frame.captured <= from + captured, 'the IP packet ends after its frame');
  check(frame.captured <= frame.length, 'more of the IP packet is captured than there is');
  const reason = scene.filter.judge(view, frame.payload, frame.captured, frame.length, 1);
  check(REASONS[reason] !== undefined, `reason ${reason} does not exist`);
  // Flows of earlier packets differ in another reading.
  return REASONS[reason] === 'malformed' ? 'malformed' : 'IP';
}

/** Reads the file as `podfence replay` does: the packets must be the same. */
export async function checkFile(input: Uint8Array, reading: Reading | undefined): Promise<void> {
  if (input.length % FILES !== 0) return;
  const folder = mkdtempSync(join(tmpdir(), 'podfence-fuzz-'));
  try {
    const file = join(folder, 'capture');
    writeFileSync(file, input);
    let count = 0;
    const end = await readCapture(file, () => count++).catch((error: unknown) => {
      if (error instanceof CaptureFileError) return undefined;
      throw error;
    });
    check((end === undefined) === (reading === undefined), 'the file is a capture, but its bytes are not');
    check(count === (reading?.packets.length ?? 0), 'the file has other packets than its bytes');
    check(end === undefined || end.bytes === input.length || end.incomplete !== undefined, 'not all of it was read');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

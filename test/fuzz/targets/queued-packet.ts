/**
 * Messages of the kernel's queue. The reader must return what a naive reader of the attributes
 * reads, with a payload inside the message, and must not read outside of it. The packet in it gets
 * a known reason.
 */
import { QueuedPacket } from '../../../src/dataplane/nfqueue/queued-packet.ts';
import { REASONS } from '../../../src/filter/reasons.ts';
import { Scene } from '../../filter/scene.ts';
import { attribute, attributes, attributesOf, unsigned } from '../attributes.ts';
import { joined, mutate } from '../mutate.ts';
import { packet } from '../packets.ts';
import type { Random } from '../random.ts';
import { alone, type Place, surrounded } from '../surroundings.ts';
import { check, checkSame, type Target } from '../target.ts';

/** From linux/netfilter/nfnetlink_queue.h. */
const PACKET_HDR = 1;
const MARK = 3;
const PAYLOAD = 10;
const CAP_LEN = 13;
const PACKET_MESSAGE = 0x0300;
const HEADERS = 20;

const reused = new QueuedPacket();
const scene = new Scene();

export const target: Target = {
  generate: (random) => {
    const bytes = message(random);
    return random.oneIn(3) ? bytes : mutate(random, bytes);
  },
  run: (input) => {
    const read = readFrom(reused, alone(input), input.length);
    checkSame(read, naively(input), 'the message is misread');
    for (const place of surrounded(input)) {
      checkSame(readFrom(new QueuedPacket(), place, input.length), read, 'what is read depends on bytes around it');
      checkSame(readFrom(reused, place, input.length), read, 'what is read depends on the message before');
    }
    if (read === undefined) return;
    check(read.at >= HEADERS || read.captured === 0, 'the payload lies in the headers');
    check(read.at + read.captured <= input.length, 'the payload does not lie in the message');
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    const reason = scene.filter.judge(view, read.at, read.captured, read.total, 1);
    check(REASONS[reason] !== undefined, `reason ${reason} does not exist`);
  },
};

function message(random: Random): Uint8Array {
  const bytes = packet(random);
  const kept = random.oneIn(3) ? random.below(bytes.length + 1) : bytes.length;
  const parts = [
    attribute(random, PACKET_HDR, [...random.bytes(4), 8, 0, 2]),
    attribute(random, random.pick([5, 6, 9, 20]), random.bytes(random.below(20))),
    ...random.some(1, () => attribute(random, MARK, random.bytes(4))),
    ...(kept < bytes.length ? [attribute(random, CAP_LEN, [0, 0, bytes.length >> 8, bytes.length])] : []),
    attribute(random, PAYLOAD, bytes.subarray(0, kept)),
  ];
  const body = attributes(random, parts);
  const length = HEADERS + body.length + (random.oneIn(12) ? random.pick([-4, -1, 1, 4, 0x10000]) : 0);
  const type = random.oneIn(16) ? random.below(0x400) : PACKET_MESSAGE;
  const header = [length, length >> 8, length >> 16, length >> 24, type, type >> 8];
  return joined(Uint8Array.from([...header, ...new Array(10).fill(0), 2, 0, 0, 100]), body);
}

interface Read {
  readonly id: number;
  readonly mark: number;
  /** Offset of the payload from the message's first byte; 0 if there is none. */
  readonly at: number;
  readonly captured: number;
  readonly total: number;
}

function readFrom(into: QueuedPacket, { view, offset }: Place, length: number): Read | undefined {
  if (!into.read(view, offset, offset + length)) return undefined;
  const { id, mark, payloadOffset, payloadLength: captured, totalLength: total } = into;
  return { id, mark, at: payloadOffset - offset, captured, total };
}

function naively(input: Uint8Array): Read | undefined {
  if (input.length < HEADERS) return undefined;
  const length = unsigned(input.slice(0, 4).reverse());
  if (unsigned(input.slice(4, 6).reverse()) !== PACKET_MESSAGE || length > input.length) return undefined;
  const found = attributesOf(input.subarray(HEADERS, Math.max(HEADERS, length)));
  if (found.some(({ type, value }) => type === PACKET_HDR && value.length < 4)) return undefined;
  const last = (wanted: number, least: number) =>
    found.findLast(({ type, value }) => type === wanted && value.length >= least)?.value;
  const head = last(PACKET_HDR, 4);
  if (head === undefined) return undefined;
  const payload = last(PAYLOAD, 0);
  const captured = payload?.length ?? 0;
  return {
    id: unsigned(head.subarray(0, 4)) | 0,
    mark: unsigned((last(MARK, 4) ?? Uint8Array.of(0)).subarray(0, 4)) | 0,
    at: payload === undefined ? 0 : payload.byteOffset - input.byteOffset,
    captured,
    total: Math.max(captured, unsigned((last(CAP_LEN, 4) ?? Uint8Array.of(0)).subarray(0, 4)) | 0),
  };
}

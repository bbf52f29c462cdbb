import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decode } from '../../src/packet/decode.ts';
import { MALFORMED, Packet } from '../../src/packet/packet.ts';
import * as b from './build.ts';
import { RECORDED } from './recorded.ts';

const A6 = 'fd00::1';
const B6 = 'fd00::2';
const SAMPLES: Readonly<Record<string, Uint8Array>> = {
  ...Object.fromEntries(Object.entries(RECORDED).map(([name, hex]) => [name, b.fromHex(hex)])),
  sctp4: b.ip('10.0.0.1', '10.0.0.2', b.sctp(1, 2, 1)),
  everyExtension: b.ip(A6, B6, b.tcp(1, 2), {
    extensions: [b.hopByHop(16), b.destinationOptions(), b.routing(), b.fragmentHeader(0, true), b.authentication()],
  }),
  tooBigQuotingExtensions: b.ip(
    B6,
    A6,
    b.tooBig(b.ip(A6, B6, b.udp(1, 2), { extensions: [b.hopByHop(), b.routing()] })),
  ),
};

/** Returns all fields of the packet after decoding. */
function fields(bytes: Uint8Array, offset: number, length: number, total: number): Packet {
  const packet = new Packet();
  decode(packet, b.viewOf(bytes), offset, length, total);
  return packet;
}

/** Returns the same bytes in the middle of others. */
function surrounded(bytes: Uint8Array, by: number, offset: number): Uint8Array {
  const larger = new Uint8Array(offset + bytes.length + 200).fill(by);
  larger.set(bytes, offset);
  return larger;
}

function expectReadsOnlyInside(bytes: Uint8Array, total: number): void {
  // A DataView throws for a read outside it, so this finds reads past the end. The surroundings
  // find reads before the start.
  const alone = fields(bytes, 0, bytes.length, total);
  for (const [by, offset] of [
    [0x00, 7],
    [0xff, 64],
    [0x45, 1],
  ] as const) {
    expect(fields(surrounded(bytes, by, offset), offset, bytes.length, total)).toEqual(alone);
  }
}

test.each(Object.keys(SAMPLES))('%s, cut at every length: never throws, never reads outside', (name) => {
  const whole = SAMPLES[name] as Uint8Array;
  for (let length = 0; length <= whole.length; length++) {
    const cut = Uint8Array.from(whole.subarray(0, length));
    expectReadsOnlyInside(cut, length);
    expectReadsOnlyInside(cut, whole.length);
    expectReadsOnlyInside(cut, 70_000);
    if (length < 20) expect(fields(cut, 0, length, whole.length).status).toBe(MALFORMED);
  }
});

test('random bytes: never throws, never reads outside', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(70_000), fc.constantFrom(4, 6), (bytes, more, version) => {
      if (bytes.length > 0) bytes[0] = (version << 4) | ((bytes[0] as number) & 15);
      expectReadsOnlyInside(bytes, bytes.length + more);
    }),
    { numRuns: 2000 },
  );
});

test('real packets with some bytes changed: never throws, never reads outside', () => {
  const change = fc.tuple(fc.nat(90), fc.nat(255));
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(SAMPLES)),
      fc.array(change, { maxLength: 4 }),
      fc.nat(100),
      (whole, changes, cut) => {
        const bytes = Uint8Array.from(whole.subarray(0, Math.max(0, whole.length - cut)));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        expectReadsOnlyInside(bytes, whole.length);
      },
    ),
    { numRuns: 3000 },
  );
});

test('bounds outside the view are malformed', () => {
  const bytes = b.ip('10.0.0.1', '10.0.0.2', b.udp(1, 2));
  for (const [offset, length] of [
    [0, bytes.length + 1],
    [1, bytes.length],
    [-1, bytes.length],
    [bytes.length, 20],
    [0, -5],
  ] as const) {
    expect(fields(bytes, offset, length, bytes.length).status).toBe(MALFORMED);
  }
});

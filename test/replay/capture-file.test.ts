import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCapture } from '../../src/replay/capture-file.ts';
import { CaptureWriter } from '../../src/replay/capture-writer.ts';
import { MOST_INTERFACES } from '../../src/replay/pcapng-format.ts';
import { block, concat, pcap, pcapng, type Recorded } from './capture-bytes.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'podfence-replay-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Read {
  readonly bytes: readonly number[];
  readonly length: number;
  readonly time: number;
  readonly linkType: number;
  readonly littleEndian: boolean;
}

async function read(bytes: Uint8Array) {
  const path = join(folder, 'capture');
  writeFileSync(path, bytes);
  const packets: Read[] = [];
  const end = await readCapture(path, (view, offset, captured, length, time, linkType, littleEndian) => {
    packets.push({ bytes: [...new Uint8Array(view.buffer, offset, captured)], length, time, linkType, littleEndian });
  });
  return { packets, end };
}

const TIME = Date.UTC(2026, 0, 2, 3, 4, 5) + 678.5;
const PACKETS: readonly Recorded[] = [
  { bytes: Uint8Array.of(1, 2, 3), time: TIME },
  { bytes: new Uint8Array(0), time: TIME + 1 },
  { bytes: Uint8Array.of(4, 5, 6, 7), time: TIME + 2, length: 1500 },
];

function expected(packets: readonly Recorded[], linkType = 1, littleEndian = true) {
  return packets.map(({ bytes, time = 0, length = bytes.length }) => ({
    ...{ bytes: [...bytes], length, time, linkType, littleEndian },
  }));
}

describe('a recorded capture', () => {
  it.each([
    ['little-endian', { littleEndian: true }],
    ['big-endian', { littleEndian: false }],
    ['in nanoseconds', { littleEndian: true, nanoseconds: true }],
    ['with another link type', { linkType: 276 }],
  ])('in pcap, %s, returns its packets', async (_, options) => {
    const { packets, end } = await read(pcap(PACKETS, options));
    const { linkType = 1, littleEndian = true } = options as { linkType?: number; littleEndian?: boolean };
    expect(packets).toEqual(expected(PACKETS, linkType, littleEndian));
    expect(end).toEqual({ format: 'pcap', bytes: pcap(PACKETS, options).length });
  });

  it.each([true, false])('in pcapng, little-endian %s, returns its packets', async (littleEndian) => {
    const { packets, end } = await read(pcapng(PACKETS, [1], littleEndian));
    expect(packets).toEqual(expected(PACKETS, 1, littleEndian));
    expect(end.format).toBe('pcapng');
  });

  it('in pcapng reads each packet by its interface, and each section has its own', async () => {
    const first = pcapng([{ bytes: Uint8Array.of(1), link: 1, time: TIME }], [1, 239]);
    const second = pcapng([{ bytes: Uint8Array.of(2), link: 0, time: TIME }], [113], false);
    const { packets } = await read(concat([first, second]));
    expect(packets.map(({ linkType, littleEndian }) => [linkType, littleEndian])).toEqual([
      [239, true],
      [113, false],
    ]);
  });

  it('in pcapng reads times in the resolution of the interface', async () => {
    const nanoseconds = pcapng([{ bytes: Uint8Array.of(1), time: TIME }], [1], true, [[9, Uint8Array.of(9)]], 1e6);
    expect((await read(nanoseconds)).packets[0]?.time).toBeCloseTo(TIME, 2);
    const halves = pcapng([{ bytes: Uint8Array.of(1), time: 4000 }], [1], true, [[9, Uint8Array.of(0x80 | 10)]], 1.024);
    expect((await read(halves)).packets[0]?.time).toBe(4000);
    const offset = new DataView(new ArrayBuffer(8));
    offset.setBigInt64(0, 3600n, true);
    const later = pcapng([{ bytes: Uint8Array.of(1), time: 1000 }], [1], true, [[14, new Uint8Array(offset.buffer)]]);
    expect((await read(later)).packets[0]?.time).toBe(3_601_000);
  });

  it('in pcapng returns packets without a time if it is outside the calendar', async () => {
    const offset = new DataView(new ArrayBuffer(8));
    offset.setBigInt64(0, -(2n ** 62n), true);
    const early = pcapng([{ bytes: Uint8Array.of(1), time: TIME }], [1], true, [[14, new Uint8Array(offset.buffer)]]);
    const late = pcapng([{ bytes: Uint8Array.of(1), time: TIME }], [1], true, [[9, Uint8Array.of(0)]], 1000);
    for (const bytes of [early, late]) expect((await read(bytes)).packets[0]?.time).toBeNaN();
  });

  it('in pcapng skips unknown blocks, and reads packets without a time', async () => {
    const names = block(4, new Uint8Array(400));
    const simple = block(3, Uint8Array.of(200, 0, 0, 0, 9, 8, 7, 6));
    const { packets } = await read(concat([pcapng([]), names, simple]));
    expect(packets).toEqual([{ bytes: [9, 8, 7, 6], length: 200, time: Number.NaN, linkType: 1, littleEndian: true }]);
  });

  it('much longer than one read returns all its packets', async () => {
    const many = Array.from({ length: 9000 }, (_, i) => ({ bytes: new Uint8Array(1000).fill(i & 0xff), time: i }));
    for (const bytes of [pcap(many), pcapng(many)]) {
      const { packets } = await read(bytes);
      expect(packets).toHaveLength(many.length);
      expect(packets.every((packet, i) => packet.time === i && packet.bytes.every((byte) => byte === (i & 0xff)))).toBe(
        true,
      );
    }
  });

  it.each([
    ['pcap', pcap(PACKETS)],
    ['pcapng', pcapng(PACKETS)],
  ])('in %s that is truncated anywhere returns the packets before', async (_, bytes) => {
    for (let length = 4; length < bytes.length; length++) {
      const { packets, end } = await read(bytes.subarray(0, length));
      expect(packets).toEqual(expected(PACKETS).slice(0, packets.length));
      if (end.incomplete !== undefined) expect(end.incomplete.reason).toBe('cut off');
    }
    expect((await read(bytes.subarray(0, -1))).end.incomplete?.message).toMatch(/^at byte \d+: the rest of a packet/);
  });

  it('that is damaged returns the packets before, and says where the damage is', async () => {
    const damaged = concat([pcap(PACKETS.slice(0, 1)), new Uint8Array(16).fill(0xff)]);
    const { packets, end } = await read(damaged);
    expect(packets).toHaveLength(1);
    expect(end.incomplete).toEqual({ reason: 'damaged', message: expect.stringContaining('at byte 43: ') });
    const noInterface = await read(concat([pcapng([], []), pcapng(PACKETS, []).subarray(28)]));
    expect(noInterface.end.incomplete?.message).toContain('interface 0, which is not described');
    const short = await read(concat([pcapng([]), Uint8Array.of(6, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0)]));
    expect(short.end.incomplete?.message).toContain('a block of 4 bytes');
  });

  it('in pcapng with more interfaces than a packet can name is damaged there, and not read further', async () => {
    const many = (count: number) => Array.from({ length: count }, () => 1);
    const last = { bytes: Uint8Array.of(9), time: TIME, link: MOST_INTERFACES - 1 };
    expect((await read(pcapng([last], many(MOST_INTERFACES)))).packets).toHaveLength(1);
    const file = pcapng([last], many(3 * MOST_INTERFACES));
    const { packets, end } = await read(concat([file, pcapng(PACKETS)]));
    expect(packets).toEqual([]);
    expect(end.incomplete).toEqual({
      reason: 'damaged',
      message: expect.stringMatching(/^at byte \d+: more than 65536 interfaces in one section$/),
    });
    expect(end.bytes).toBeLessThan(file.length);
  });

  it('that continues with zeros is damaged there', async () => {
    const { packets, end } = await read(concat([pcap(PACKETS.slice(0, 1)), new Uint8Array(64)]));
    expect(packets).toHaveLength(1);
    expect(end.incomplete).toEqual({ reason: 'damaged', message: 'at byte 43: a packet without bytes and time' });
  });

  it('is interrupted when its reader wants no more', async () => {
    const path = join(folder, 'long');
    writeFileSync(path, pcap(Array.from({ length: 3000 }, () => ({ bytes: new Uint8Array(1000), time: TIME }))));
    let packets = 0;
    const count = () => {
      packets++;
    };
    const end = await readCapture(path, count, () => packets > 0);
    expect(end.incomplete?.reason).toBe('interrupted');
    expect(packets).toBeLessThan(3000);
  });

  it('that is no capture is refused with what it may be', async () => {
    await expect(read(new Uint8Array(0))).rejects.toThrow('it is empty');
    await expect(read(Uint8Array.of(1))).rejects.toThrow('shorter than any capture');
    await expect(read(new TextEncoder().encode('apiVersion: v1'))).rejects.toThrow('neither pcap nor pcapng');
    await expect(read(Uint8Array.of(0x1f, 0x8b, 8, 0, 0))).rejects.toThrow('it is compressed: gunzip it');
  });

  it('of random bytes after a header is at worst damaged', async () => {
    let seed = 1;
    const random = () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (seed >> 16) & 0xff;
    };
    for (let i = 0; i < 300; i++) {
      const noise = Uint8Array.from({ length: i }, random);
      await read(concat([i % 2 === 0 ? pcap([]) : pcapng([]), noise]));
    }
  });
});

describe('a written capture', () => {
  it('contains the packets as they were captured, with their link types, byte orders and times', async () => {
    const path = join(folder, 'written');
    const writer = new CaptureWriter(path);
    const given = [
      ...expected(PACKETS),
      ...expected([{ bytes: Uint8Array.of(8, 9), time: TIME + 3 }], 239),
      ...expected([{ bytes: new Uint8Array(200_000).fill(1), time: TIME + 4 }], 239, false),
    ];
    for (const { bytes, length, time, linkType, littleEndian } of given) {
      const view = new DataView(Uint8Array.from([0, ...bytes]).buffer);
      writer.write(view, 1, bytes.length, length, time, linkType, littleEndian);
    }
    writer.close();
    expect((await read(readFileSync(path))).packets).toEqual(given);
    expect(writer.packets).toBe(given.length);
  });

  it('without packets is still a capture', async () => {
    const path = join(folder, 'empty');
    new CaptureWriter(path).close();
    expect((await read(readFileSync(path))).end).toMatchObject({ format: 'pcapng' });
  });
});

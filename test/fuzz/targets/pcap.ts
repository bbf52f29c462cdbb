/** The pcap reader: see captures.ts. A naive reader counts its records, too. */
import { PcapFormat } from '../../../src/replay/pcap-format.ts';
import { pcap } from '../../replay/capture-bytes.ts';
import { checkFile, checkReader, recorded } from '../captures.ts';
import { mutate } from '../mutate.ts';
import { check, type Target } from '../target.ts';

export const target: Target = {
  generate: (random) => {
    const { linkTypes, packets } = recorded(random, 1);
    const options = { linkType: linkTypes[0] as number, littleEndian: random.oneIn(2), nanoseconds: random.oneIn(2) };
    const bytes = pcap(packets, options);
    return random.oneIn(3) ? bytes : mutate(random, bytes);
  },
  run: async (input) => {
    const reading = checkReader(input, (magic) => PcapFormat.of(magic));
    if (reading !== undefined) {
      const [count, end] = naively(input);
      const isWhole = typeof reading.end === 'number';
      check(!isWhole || reading.packets.length === count, `${reading.packets.length} packets, not ${count}`);
      check(!isWhole || reading.end === end, `the rest begins at ${reading.end}, not at ${end}`);
    }
    await checkFile(input, reading);
  },
};

/** Returns the number of records, and where the first incomplete one begins. */
function naively(input: Uint8Array): [count: number, end: number] {
  if (input.length < 24) return [0, 0];
  const isLittle = (input[0] as number) !== 0xa1;
  let count = 0;
  let at = 24;
  while (at + 16 <= input.length) {
    const field = [...input.subarray(at + 8, at + 12)];
    const captured = Number.parseInt(
      (isLittle ? field.reverse() : field).map((b) => b.toString(16).padStart(2, '0')).join(''),
      16,
    );
    if (at + 16 + captured > input.length) break;
    at += 16 + captured;
    count++;
  }
  return [count, at];
}

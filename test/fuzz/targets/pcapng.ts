/**
 * The pcapng reader: see captures.ts. Inputs have sections in both byte orders, blocks of all
 * types, and options of interfaces.
 */
import { PcapngFormat } from '../../../src/replay/pcapng-format.ts';
import { block, pcapng } from '../../replay/capture-bytes.ts';
import { checkFile, checkReader, recorded } from '../captures.ts';
import { joined, mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { check, type Target } from '../target.ts';

/**
 * Packets (obsolete and simple), names, statistics, custom, decryption secrets, and an undefined
 * type.
 */
const OTHER_BLOCKS = [2, 3, 4, 5, 0xbad, 10, 0x7fff];
/** if_name, if_tsresol, if_tsoffset, if_os, and one that does not exist. */
const OPTIONS = [2, 9, 14, 12, 99];

export const target: Target = {
  generate: (random) => {
    const bytes = joined(...Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, () => section(random)));
    return random.oneIn(3) ? bytes : mutate(random, bytes);
  },
  run: async (input) => {
    const reading = checkReader(input, (magic) => PcapngFormat.of(magic));
    if (reading !== undefined && typeof reading.end === 'number') {
      const rest = input.subarray(reading.end);
      check(reading.end % 4 === 0, `a block begins at ${reading.end}`);
      check(rest.length < 12 || isCut(rest), 'a whole block is left');
    }
    await checkFile(input, reading);
  },
};

function section(random: Random): Uint8Array {
  const littleEndian = random.oneIn(2);
  const { linkTypes, packets } = recorded(random, random.between(1, 3));
  const options = random.some(4, () => option(random));
  const bytes = pcapng(packets, random.oneIn(12) ? [] : linkTypes, littleEndian, options, random.pick([1, 1000, 1e6]));
  const others = random.some(3, () =>
    block(random.pick(OTHER_BLOCKS), random.bytes(4 * random.below(12)), littleEndian),
  );
  return joined(bytes, ...others);
}

function option(random: Random): readonly [number, Uint8Array] {
  const code = random.pick(OPTIONS);
  const length = code === 9 ? 1 : code === 14 ? 8 : random.below(9);
  return [code, random.oneIn(8) ? random.bytes(random.below(12)) : random.bytes(length)];
}

/** Whether the block's length, in either byte order, exceeds the bytes that are there. */
function isCut(rest: Uint8Array): boolean {
  const view = new DataView(rest.buffer, rest.byteOffset, rest.length);
  return view.getUint32(4) > rest.length || view.getUint32(4, true) > rest.length;
}

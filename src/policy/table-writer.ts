/** Copies the compiler's parts, each one array, into one SharedArrayBuffer as rule-table.ts describes it. */
import { FIRST_SECTION, GENERATION, HEADER_WORDS, SECTIONS, SEED, type Section } from './table-layout.ts';

export function writeTable(
  generation: number,
  seed: number,
  parts: Readonly<Record<Section, Int32Array>>,
): SharedArrayBuffer {
  let length = HEADER_WORDS;
  for (const section of SECTIONS) length += parts[section].length;
  const buffer = new SharedArrayBuffer(4 * length);
  const words = new Int32Array(buffer);
  words[GENERATION] = generation;
  words[SEED] = seed;
  let at = HEADER_WORDS;
  SECTIONS.forEach((section, index) => {
    const part = parts[section];
    words[FIRST_SECTION + 2 * index] = at;
    words[FIRST_SECTION + 2 * index + 1] = part.length;
    words.set(part, at);
    at += part.length;
  });
  return buffer;
}

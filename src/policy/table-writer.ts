/**
 * Copies the compiler's parts, each one array, into one SharedArrayBuffer, as table-layout.ts
 * describes it.
 *
 * The table of a large cluster has megabytes, and touching new memory costs more than copying. So
 * the writer reuses the buffer of a table that is no longer read, and writes only the sections that
 * have changed since.
 */
import { FIRST_SECTION, GENERATION, HEADER_WORDS, SECTIONS, SEED, type Section } from './table-layout.ts';

/** A section to write. */
export interface Part {
  /** Grows with every change. */
  readonly version: number;
  words(): Int32Array;
}

/** The place of a section in a buffer, and the version that was written there. */
interface Written {
  readonly at: number;
  readonly length: number;
  readonly version: number;
}

/**
 * Sections begin at multiples of this many words: a section that grows by a word does not move
 * those behind it.
 */
const SECTION_UNIT = 1024;
/** Recycled buffers to keep: one for the next table, and one that a slow reader returns late. */
const MAX_SPARE = 2;

export class TableWriter {
  private readonly seed: number;
  private readonly parts: Readonly<Record<Section, Part>>;
  private readonly written = new WeakMap<SharedArrayBuffer, Written[]>();
  private readonly spare: SharedArrayBuffer[] = [];

  constructor(seed: number, parts: Readonly<Record<Section, Part>>) {
    this.seed = seed;
    this.parts = parts;
  }

  /** Takes a buffer that is no longer read; a later table may be written to it. */
  recycle(buffer: SharedArrayBuffer): void {
    if (this.written.has(buffer) && !this.spare.includes(buffer) && this.spare.length < MAX_SPARE)
      this.spare.push(buffer);
  }

  write(generation: number): SharedArrayBuffer {
    const { layout, end } = this.layout();
    const buffer = this.bufferOf(4 * end);
    const words = new Int32Array(buffer);
    const before = this.written.get(buffer);
    words[GENERATION] = generation;
    words[SEED] = this.seed;
    SECTIONS.forEach((section, index) => {
      const { at, length, version } = layout[index] as Written;
      words[FIRST_SECTION + 2 * index] = at;
      words[FIRST_SECTION + 2 * index + 1] = length;
      const old = before?.[index];
      if (old?.version !== version || old.at !== at) words.set(this.parts[section].words(), at);
    });
    this.written.set(buffer, layout);
    return buffer;
  }

  private layout(): { layout: Written[]; end: number } {
    const layout: Written[] = [];
    let end = roundUp(HEADER_WORDS);
    for (const section of SECTIONS) {
      const part = this.parts[section];
      const { length } = part.words();
      layout.push({ at: end, length, version: part.version });
      end += roundUp(length);
    }
    return { layout, end };
  }

  /** Returns a recycled buffer that is large enough, or a new one with room to grow. */
  private bufferOf(bytes: number): SharedArrayBuffer {
    for (let spare = this.spare.pop(); spare !== undefined; spare = this.spare.pop()) {
      if (spare.byteLength >= bytes && spare.byteLength <= 4 * bytes) return spare;
    }
    return new SharedArrayBuffer(bytes + (bytes >>> 2));
  }
}

function roundUp(words: number): number {
  return Math.ceil(words / SECTION_UNIT) * SECTION_UNIT;
}

/**
 * The same bytes alone in memory, and among others: code that reads outside of them gives another
 * result.
 */

/** How many other bytes come first; the input is not aligned in the view, either. */
const OFFSETS = [7, 64, 1];
const FILLS = [0x00, 0xff, 0x45];
const BEHIND = 160;

export interface Place {
  readonly view: DataView;
  readonly offset: number;
}

/** Returns a view of exactly these bytes, which throws at a read outside of them. */
export function alone(bytes: Uint8Array): Place {
  const copy = Uint8Array.from(bytes);
  return { view: new DataView(copy.buffer), offset: 0 };
}

export function surrounded(bytes: Uint8Array): Place[] {
  return FILLS.map((fill, i) => {
    const offset = OFFSETS[i] as number;
    const larger = new Uint8Array(offset + bytes.length + BEHIND).fill(fill);
    larger.set(bytes, offset);
    return { view: new DataView(larger.buffer), offset };
  });
}

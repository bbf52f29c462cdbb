/** Work that stops now and then, so that whoever has it done can see to something else in between. It is done when it ends. */
export type Pieces = Generator<undefined, void>;

/** Some 0.005 ms of what is done to an identity or a namespace, 0.1 ms of what is done to a set of hundreds. */
const PIECE = 20;

/** @param items sets, maps and what is made of them may lose items meanwhile; none may get any */
export function inPieces<T>(items: Iterable<T>, work: (item: T) => void): Pieces {
  return inPiecesOfAll([items], work);
}

/** The same for all collections as if they were one, each of which counts as an item too. */
export function* inPiecesOfAll<T>(collections: Iterable<Iterable<T>>, work: (item: T) => void): Pieces {
  let done = 0;
  for (const items of collections) {
    if (Array.isArray(items)) {
      // An iterator would make an object for each of a hundred thousand items.
      for (let i = 0; i < items.length; i++) {
        work(items[i] as T);
        if (++done % PIECE === 0) yield;
      }
    } else {
      for (const item of items) {
        work(item);
        if (++done % PIECE === 0) yield;
      }
    }
    if (++done % PIECE === 0) yield;
  }
}

/** Does it all at once. */
export function finish(pieces: Pieces): void {
  while (!pieces.next().done);
}

/** "Did you mean": finds the known word that a person most probably meant. */

/** A longer text is not a mistyped keyword, and the distance costs the product of the lengths. */
const LONGEST = 64;

/**
 * Returns the number of edits that turn `a` into `b`: insert, delete or replace one character, or
 * swap two neighbours (the optimal string alignment form of the Damerau-Levenshtein distance).
 */
export function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const removed = (previous[column] ?? 0) + 1;
      const inserted = (current[column - 1] ?? 0) + 1;
      let best = Math.min(replaced, removed, inserted);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, (beforePrevious[column - 2] ?? 0) + 1);
      }
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/**
 * Returns the candidate nearest to `text`, ignoring case: at most a third of its letters differ, or
 * one contains the other (`selector`, `podSelector`). Undefined if none is near.
 */
export function nearest(text: string, candidates: Iterable<string>): string | undefined {
  if (text.length === 0 || text.length > LONGEST) return undefined;
  const wanted = text.toLowerCase();
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const known = candidate.toLowerCase();
    const distance = editDistance(wanted, known);
    const near = distance <= Math.max(1, Math.floor(Math.max(wanted.length, known.length) / 3));
    const contained = Math.min(wanted.length, known.length) >= 4 && (known.includes(wanted) || wanted.includes(known));
    if (!near && !contained) continue;
    // Letters in the wrong order are likelier than a letter too many.
    const sameLength = wanted.length === known.length ? 0 : 0.5;
    if (distance + sameLength < bestDistance) {
      best = candidate;
      bestDistance = distance + sameLength;
    }
  }
  return best;
}

/**
 * Returns the keyword that `text` can only be a slip for: at most two edits away, in a short word
 * one, ignoring case. Undefined if there is none, or if another keyword is nearly as near.
 */
export function certainlyMeant(text: string, keywords: readonly string[]): string | undefined {
  if (text.length === 0 || text.length > LONGEST) return undefined;
  const distanceOf = (keyword: string) => editDistance(text.toLowerCase(), keyword.toLowerCase());
  const [first, second] = keywords
    .map((keyword) => ({ keyword, distance: distanceOf(keyword) }))
    .sort((a, b) => a.distance - b.distance);
  if (first === undefined || first.distance > (text.length > 4 ? 2 : 1)) return undefined;
  return second !== undefined && second.distance < first.distance + 2 ? undefined : first.keyword;
}

/**
 * Returns the hint `Did you mean X?` for the candidate nearest to `text`; undefined if none is
 * near.
 */
export function didYouMean(text: string, candidates: Iterable<string>): string | undefined {
  const candidate = nearest(text, candidates);
  return candidate === undefined ? undefined : `Did you mean ${candidate}?`;
}

/**
 * Corrections as edits of a YAML text. They touch only what must change, so that comments and
 * layout stay. Where the result is not certain (aliases, tags, flow style where lines would have to
 * move) there is no edit.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair, type Scalar, type YAMLMap } from 'yaml';
import type { Correction } from '../cluster/field.ts';
import type { Path } from '../cluster/projection.ts';
import type { TextEdit } from './document.ts';

/** A field in its map, or an element of a list. */
interface Place {
  /** Undefined for an element of a list. */
  readonly map: YAMLMap | undefined;
  readonly pair: Pair | undefined;
  readonly value: unknown;
  /** The maps around it, the innermost one last. */
  readonly around: readonly YAMLMap[];
}

/** Returns the edits for a correction; undefined if none is safe. Offsets are those of `text`. */
export function correctedText(
  document: Document,
  text: string,
  path: Path,
  correction: Correction,
): readonly TextEdit[] | undefined {
  const place = placeOf(document, path);
  if (place === undefined) return undefined;
  if ('renameTo' in correction) return renamed(place, text, correction.renameTo);
  if ('nestIn' in correction) return nested(place, text, correction.nestIn);
  if ('moveOut' in correction) return movedOut(place, text);
  const range = scalarRange(place.value);
  if (range === undefined) return undefined;
  const written = text.slice(range.start, range.end);
  if ('value' in correction) return [{ ...range, text: String(correction.value) }];
  // A scalar of several lines cannot be quoted or wrapped in place.
  if (/[\n|>]/.test(written)) return undefined;
  return [{ ...range, text: 'wrap' in correction ? `[${written}]` : JSON.stringify(written) }];
}

function placeOf(document: Document, path: Path): Place | undefined {
  let place: Place = { map: undefined, pair: undefined, value: document.contents, around: [] };
  for (const step of path) {
    const { value, around } = place;
    if (isMap(value)) {
      const pair = value.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) return undefined;
      place = { map: value, pair, value: pair.value, around: [...around, value] };
    } else if (isSeq(value) && typeof step === 'number' && step < value.items.length) {
      place = { map: undefined, pair: undefined, value: value.items[step], around };
    } else {
      // Also for an alias: an edit there would change other places too.
      return undefined;
    }
  }
  return isAlias(place.value) ? undefined : place;
}

/** Returns the range of a scalar; undefined for other nodes and for one with a tag or an anchor. */
function scalarRange(node: unknown): { readonly start: number; readonly end: number } | undefined {
  if (!isScalar(node) || node.tag !== undefined || node.anchor !== undefined || !node.range) return undefined;
  const [start, end] = node.range;
  return end > start ? { start, end } : undefined;
}

function renamed({ pair }: Place, text: string, name: string): readonly TextEdit[] | undefined {
  const range = scalarRange(pair?.key);
  if (range === undefined) return undefined;
  const quote = /^["']/.exec(text.slice(range.start))?.[0] ?? '';
  return [{ ...range, text: `${quote}${name}${quote}` }];
}

/**
 * Indents a field under its empty neighbour: `ipBlock:` and after it, in the same column, `cidr:
 * 10.0.0.0/8`.
 */
function nested({ map, pair }: Place, text: string, neighbour: string): readonly TextEdit[] | undefined {
  if (map === undefined || pair === undefined || map.flow) return undefined;
  const index = map.items.indexOf(pair);
  const target = map.items.findLastIndex(({ key }, at) => at < index && isScalar(key) && key.value === neighbour);
  if (target < 0 || !isNothing(map.items[target]?.value)) return undefined;
  // The fields between must be nested as well, or this one would not follow its neighbour.
  const between = map.items.slice(target + 1, index).map(({ key }) => String((key as Scalar).value));
  if (between.some((key) => !BLOCK_FIELDS.includes(key))) return undefined;
  return linesOf(pair, text)?.map(({ start }) => ({ start, end: start, text: '  ' }));
}

/** Fields of a peer's ipBlock and selectors. */
const BLOCK_FIELDS: readonly string[] = ['cidr', 'except', 'matchLabels', 'matchExpressions'];

/** Moves the last field out of its map by removing the surplus indentation. */
function movedOut({ map, pair, around }: Place, text: string): readonly TextEdit[] | undefined {
  const outer = around.at(-2);
  if (map === undefined || pair === undefined || outer === undefined || map.flow || outer.flow) return undefined;
  // Moving a middle field would end the map too early; moving the only one would leave it empty.
  if (map.items.length < 2 || map.items.at(-1) !== pair) return undefined;
  const name = isScalar(pair.key) ? pair.key.value : undefined;
  if (outer.items.some(({ key }) => isScalar(key) && key.value === name)) return undefined;
  const surplus = columnOf(pair.key, text) - columnOf(outer.items[0]?.key, text);
  const lines = linesOf(pair, text);
  if (surplus <= 0 || lines?.some((line) => line.indent < surplus)) return undefined;
  return lines?.map(({ start }) => ({ start, end: start + surplus, text: '' }));
}

interface Line {
  readonly start: number;
  /** Spaces at its start. */
  readonly indent: number;
}

/** Returns a field's non-empty lines; undefined if something else shares its first line. */
function linesOf(pair: Pair, text: string): readonly Line[] | undefined {
  const start = (pair.key as Node | null)?.range?.[0];
  if (start === undefined) return undefined;
  const end = (pair.value as Node | null)?.range?.[1] ?? start;
  const first = text.lastIndexOf('\n', start - 1) + 1;
  if (text.slice(first, start).trim() !== '') return undefined;
  const lines: Line[] = [];
  for (let line = first; line < Math.max(end, start + 1); line = text.indexOf('\n', line) + 1 || text.length) {
    const indent = /^ */.exec(text.slice(line))?.[0].length ?? 0;
    if (!/^\s*(?:\n|$)/.test(text.slice(line, text.indexOf('\n', line) + 1 || undefined)))
      lines.push({ start: line, indent });
  }
  return lines;
}

function columnOf(node: unknown, text: string): number {
  const start = (node as Node | null | undefined)?.range?.[0] ?? 0;
  return start - (text.lastIndexOf('\n', start - 1) + 1);
}

function isNothing(value: unknown): boolean {
  return value === null || (isScalar(value) && value.value === null);
}

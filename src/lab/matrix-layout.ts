/** Where the columns of the matrix stand, and how many of them a line takes. */
import { visibleWidth } from './paint.ts';

/** Columns that belong together: all ports of one destination. */
export interface TableGroup {
  /** The number of a pod, or S1, S2, … */
  readonly id: string;
  /** Namespace, or what else stands above. */
  readonly section: string;
  readonly columns: readonly unknown[];
}

export interface Placed<T> {
  /** Characters from the left. */
  readonly at: number;
  readonly item: T;
}

const GROUP_GAP = 1;
const SECTION_GAP = 3;

/** Sections side by side, each at least as wide as its name, in as many parts as `width` makes necessary. */
export function placeGroups<T extends TableGroup>(
  groups: readonly T[],
  width: number,
): readonly (readonly Placed<T>[])[] {
  const parts: Placed<T>[][] = [];
  let part: Placed<T>[] = [];
  let sectionStart = 0;
  let end = 0;
  for (const group of groups) {
    const before = part.at(-1)?.item;
    let at = 0;
    if (before?.section === group.section) at = end + GROUP_GAP;
    else if (before) at = Math.max(end, sectionStart + before.section.length) + SECTION_GAP;
    const own = Math.max(group.id.length, group.columns.length);
    const needed = before?.section === group.section ? own : Math.max(own, group.section.length);
    if (!before || at + needed > width) {
      part = [];
      parts.push(part);
      at = 0;
    }
    if (at === 0 || before?.section !== group.section) sectionStart = at;
    part.push({ at, item: group });
    end = at + own;
  }
  return parts;
}

/** One line with each text at its place. */
export function placeTexts(texts: readonly Placed<string>[]): string {
  let line = '';
  let width = 0;
  for (const { at, item } of texts) {
    line += ' '.repeat(Math.max(0, at - width)) + item;
    width = Math.max(at, width) + visibleWidth(item);
  }
  return line;
}

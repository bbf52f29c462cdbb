/** Places the columns of a table, and splits them into lines. */

/** Columns that belong together: all ports of one destination. */
export interface ColumnGroup {
  /** The heading: the number of a row, or S1, S2, … */
  readonly id: string;
  /** The heading above that: a namespace, or another title. */
  readonly section: string;
  readonly columns: readonly unknown[];
}

export interface Placed<T> {
  /** Characters from the left. */
  readonly at: number;
  readonly item: T;
}

/** A text without control characters, and its style. */
export interface StyledText<Style extends string> {
  readonly text: string;
  readonly style?: Style;
}

/** Styles a text for the terminal. */
export type Paint<Style extends string> = (text: string, style: Style) => string;

const GROUP_GAP = 1;
const SECTION_GAP = 3;

/**
 * Places sections side by side, each at least as wide as its name. Splits them into as many parts
 * as `width` requires.
 */
export function placeGroups<T extends ColumnGroup>(
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

/** Returns one line with each text at its place. */
export function placeTexts<Style extends string>(
  texts: readonly Placed<StyledText<Style>>[],
  paint: Paint<Style>,
): string {
  let line = '';
  let width = 0;
  for (const { at, item } of texts) {
    line += ' '.repeat(Math.max(0, at - width)) + (item.style === undefined ? item.text : paint(item.text, item.style));
    width = Math.max(at, width) + [...item.text].length;
  }
  return line;
}

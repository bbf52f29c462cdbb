/**
 * Long runs of comments, which cost the parser some objects a line. They become one line of spaces, so that every offset stays
 * what it was. Only lines that begin with # or are empty count: what is indented may be the text of a block scalar. (In
 * such a text empty lines are lost; it would have to be a long run of them, and no field that podfence reads has lines.)
 */

/** Shorter runs are left as they are. */
const LONG_RUN = 1000;

export function withoutLongComments(text: string): string {
  const kept: string[] = [];
  let keptUpTo = 0;
  let runBegin = -1;
  let runLines = 0;
  const endRun = (end: number) => {
    if (runLines >= LONG_RUN) {
      kept.push(text.slice(keptUpTo, runBegin), ' '.repeat(end - runBegin - 1), '\n');
      keptUpTo = end;
    }
    runLines = 0;
  };
  for (let begin = 0; begin < text.length; ) {
    const newline = text.indexOf('\n', begin);
    // A last line without an end is left alone.
    if (newline < 0) break;
    if (text[begin] === '#' || newline === begin) {
      if (runLines === 0) runBegin = begin;
      runLines++;
    } else if (runLines > 0) {
      endRun(begin);
    }
    begin = newline + 1;
    if (begin >= text.length && runLines > 0) endRun(begin);
  }
  return keptUpTo === 0 ? text : kept.join('') + text.slice(keptUpTo);
}

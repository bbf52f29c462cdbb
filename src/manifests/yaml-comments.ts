/**
 * Replaces long runs of comment lines by one line of spaces, because the parser makes several
 * objects for each line. All offsets stay the same. Only lines that begin with # or are empty
 * count: an indented line may be text of a block scalar. (Such a text loses a long run of empty
 * lines, but no field that podfence reads has several lines.)
 */

/** Shorter runs stay as they are. */
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
    // A last line without a newline stays as it is.
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

/** `podfence lint --fix`: corrected files, and what was corrected in them. */
import { readFile, writeFile } from 'node:fs/promises';
import { readingFinding } from '../lint/reading.ts';
import { fixText } from '../manifests/fixes.ts';
import { fileTitle, type ManifestProblem, printable } from '../manifests/problems.ts';

/** One correction; the documented shape of `fixed` in `--json`. */
export interface Correction {
  readonly code: string;
  readonly rule: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly object: string;
  /** `"protocal" becomes "protocol"` */
  readonly summary: string;
}

export interface FixedFile {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly corrections: readonly Correction[];
}

const BYTE_ORDER_MARK = '\ufeff';

/** Corrects the files that these problems are in, as far as it is certain, and writes them; `-` is left to the caller. */
export async function fixFiles(problems: readonly ManifestProblem[]): Promise<readonly FixedFile[]> {
  const files = new Set(problems.filter(({ fix, file }) => fix !== undefined && file !== '-').map(({ file }) => file));
  const fixed: FixedFile[] = [];
  for (const file of files) {
    const text = await readFile(file, 'utf8');
    const mark = text.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK : '';
    const result = await fixedText(file, text.slice(mark.length));
    if (result.corrections.length === 0) continue;
    await writeFile(file, mark + result.after);
    fixed.push(result);
  }
  return fixed;
}

export async function fixedText(file: string, before: string): Promise<FixedFile> {
  const { text, fixed } = await fixText(before);
  const corrections = fixed.map((problem) => {
    const { code, rule, line, column, object } = readingFinding(problem);
    return { code, rule, file, line, column, object, summary: problem.fix.summary };
  });
  return { file, before, after: text, corrections };
}

/**
 * What was corrected, and the lines as they were and are:
 *
 *     shop.yaml:14:11  fixed  PF101 unknown-field  NetworkPolicy shop/web  "protocal" becomes "protocol"
 *       14 -         - protocal: TCP
 *       14 +         - protocol: TCP
 */
export function fixedFileText({ file, before, after, corrections }: FixedFile): string {
  const heads = corrections.map(({ line, column, code, rule, object, summary }) =>
    printable(`${fileTitle(file)}:${line}:${column}  fixed  ${code} ${rule}  ${object}  ${summary}`),
  );
  const lines = after.split('\n');
  const changed = before.split('\n').flatMap((line, index) => {
    const now = lines[index] ?? '';
    if (line === now) return [];
    return [`  ${index + 1} - ${printable(line.trimEnd())}`, `  ${index + 1} + ${printable(now.trimEnd())}`];
  });
  return [...heads, ...changed].join('\n');
}

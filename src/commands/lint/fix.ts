/** `podfence lint --fix`: corrected files, and what was corrected in them. */

import { chown, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { printable } from '../../cluster/printable.ts';
import { readingFinding } from '../../lint/reading.ts';
import { fixText } from '../../manifests/fixes.ts';
import { fileTitle, type ManifestProblem } from '../../manifests/problems.ts';

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

/** A file that could not be written, and why. */
export interface FailedFile {
  readonly file: string;
  readonly reason: string;
}

export interface FixedFile {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly corrections: readonly Correction[];
}

const BYTE_ORDER_MARK = '\ufeff';

/**
 * Corrects the files of these problems, as far as the correction is certain, and writes them. `-`
 * is left to the caller.
 */
export async function fixFiles(
  problems: readonly ManifestProblem[],
): Promise<{ readonly fixed: readonly FixedFile[]; readonly failed: readonly FailedFile[] }> {
  const files = new Set(problems.filter(({ fix, file }) => fix !== undefined && file !== '-').map(({ file }) => file));
  const fixed: FixedFile[] = [];
  const failed: FailedFile[] = [];
  for (const file of files) {
    try {
      const text = await readFile(file, 'utf8');
      const mark = text.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK : '';
      const result = await fixedText(file, text.slice(mark.length));
      if (result.corrections.length === 0) continue;
      await replaceFile(file, mark + result.after);
      fixed.push(result);
    } catch (error) {
      // Earlier files are written already, and the caller must report that too.
      failed.push({ file, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return { fixed, failed };
}

/**
 * Writes a draft beside the file and renames it to the file, so that the file is whole at any time.
 * Mode, owner and links to the file stay.
 */
async function replaceFile(file: string, text: string): Promise<void> {
  const target = await realpath(file);
  const { mode, uid, gid } = await stat(target);
  const draft = join(dirname(target), `.${basename(target)}.${process.pid}`);
  // Do not replace a file that may not be written.
  await (await open(target, 'r+')).close();
  try {
    const handle = await open(draft, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.chmod(mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
    const written = await stat(draft);
    if (written.uid !== uid || written.gid !== gid) await chown(draft, uid, gid);
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
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
 * Returns the corrections, and the lines as they were and are:
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

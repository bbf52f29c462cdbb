/** Applies fixes to a file's text. A fix counts only if the field is right afterwards. */
import { Readable } from 'node:stream';
import type { TextEdit } from './document.ts';
import { loadManifests } from './load.ts';
import type { ManifestProblem } from './problems.ts';

/** A problem that can be fixed. */
export type Fixable = ManifestProblem & Required<Pick<ManifestProblem, 'fix'>>;

export interface FixedText {
  readonly text: string;
  /** In the order of their lines. */
  readonly fixed: readonly Fixable[];
}

/** Fixing a field's name may reveal a wrong value. No mistake needs more rounds than these. */
const MOST_ROUNDS = 5;

/** Fixes what can be fixed without doubt. Every line stays where it is. */
export async function fixText(text: string): Promise<FixedText> {
  const fixed: Fixable[] = [];
  let current = text;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const done = await fixOnce(current, await problemsOf(current));
    if (done.fixed.length === 0) break;
    current = done.text;
    fixed.push(...done.fixed);
  }
  return { text: current, fixed: fixed.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/** Tries all fixes at once; if the result is wrong, one by one, so that each is judged alone. */
async function fixOnce(text: string, problems: readonly ManifestProblem[]): Promise<FixedText> {
  const fixable = problems.filter((problem): problem is Fixable => problem.fix !== undefined);
  const attempt = async (chosen: readonly Fixable[]) => {
    const tried = edited(text, chosen);
    return tried !== undefined && isRight(problems, await problemsOf(tried), chosen) ? tried : undefined;
  };
  const together = await attempt(fixable);
  if (together !== undefined) return { text: together, fixed: fixable };
  const accepted: Fixable[] = [];
  for (const problem of fixable) {
    if ((await attempt([...accepted, problem])) !== undefined) accepted.push(problem);
  }
  return { text: edited(text, accepted) ?? text, fixed: accepted };
}

/**
 * Whether the fixed fields have no problems left but fixable ones, and everything is still
 * readable.
 */
function isRight(
  before: readonly ManifestProblem[],
  after: readonly ManifestProblem[],
  fixed: readonly Fixable[],
): boolean {
  if (after.filter(isUnreadable).length > before.filter(isUnreadable).length) return false;
  return fixed.every(({ line, fix: { field } }) => {
    const touched = after.filter((problem) => problem.line === line && [field, `${field}[0]`].includes(problem.field));
    return touched.every(({ fix }) => fix !== undefined);
  });
}

/** Whether a document does not parse, or is not an object. */
function isUnreadable({ field }: ManifestProblem): boolean {
  return field === '';
}

async function problemsOf(text: string): Promise<readonly ManifestProblem[]> {
  return (await loadManifests(['-'], { stdin: Readable.from([text]), maxReplicas: 1 })).problems;
}

/** Returns the text with the fixes; undefined if two edits overlap. */
function edited(text: string, fixable: readonly Fixable[]): string | undefined {
  const edits = fixable.flatMap(({ fix }) => fix.edits).sort((a, b) => a.start - b.start || a.end - b.end);
  if (edits.some((edit, index) => edit.start < (edits[index - 1]?.end ?? 0))) return undefined;
  return edits.reduceRight(applied, text);
}

function applied(text: string, { start, end, text: inserted }: TextEdit): string {
  return `${text.slice(0, start)}${inserted}${text.slice(end)}`;
}

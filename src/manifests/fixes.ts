/** Fixes of problems, put into the text of a file. A fix counts only if what it touched is right afterwards. */
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

/** Fixing a name may show that its value was wrong too; nothing is wrong deeper than this. */
const MOST_ROUNDS = 5;

/** Corrects what can be corrected without doubt. Every line stays where it is. */
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

/** All at once; where that does not come out right, one by one, so that each stands for itself. */
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

/** Nothing is wrong with the corrected fields any more, or nothing that could not be corrected as well; and all can still be read. */
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

/** A document that does not parse, or something that is no object. */
function isUnreadable({ field }: ManifestProblem): boolean {
  return field === '';
}

async function problemsOf(text: string): Promise<readonly ManifestProblem[]> {
  return (await loadManifests(['-'], { stdin: Readable.from([text]), maxReplicas: 1 })).problems;
}

/** Undefined where two edits are about the same text. */
function edited(text: string, fixable: readonly Fixable[]): string | undefined {
  const edits = fixable.flatMap(({ fix }) => fix.edits).sort((a, b) => a.start - b.start || a.end - b.end);
  if (edits.some((edit, index) => edit.start < (edits[index - 1]?.end ?? 0))) return undefined;
  return edits.reduceRight(applied, text);
}

function applied(text: string, { start, end, text: inserted }: TextEdit): string {
  return `${text.slice(0, start)}${inserted}${text.slice(end)}`;
}

/** Prose in code wraps at 100 columns. Drawings and tables, indented or with bars, may be wider. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const MOST = 100;
/** A comment, alone in its line or behind code. */
const COMMENT = /^\s*(?:\/\/|\/\*|\*(?: |$))|[;,{}()] \/\/ /;
const DRAWING = /^\s*\*(?: {4,}| \|)/;
/** What cannot be wrapped: an address, a regular expression, what a tool reads. */
const UNBREAKABLE = /https?:\/\/\S{40,}|biome-ignore/;

test('comments wrap at 100 columns', () => {
  const files = globSync('{src,test,bench,setup}/**/*.{ts,mjs}', { cwd: ROOT });
  expect(files.length).toBeGreaterThan(500);
  const wide = files.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => (isTooWide(line) ? [`${file}:${index + 1}`] : [])),
  );
  expect(wide).toEqual([]);
});

function isTooWide(line: string): boolean {
  return line.length > MOST && COMMENT.test(line) && !DRAWING.test(line) && !UNBREAKABLE.test(line);
}

/** Manifests for tests: texts given to the loader as files, without a disk if possible. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type LoadOptions, loadManifests } from '../../src/manifests/load.ts';
import { formatProblem } from '../../src/manifests/problems.ts';

/** Loads a text as standard input. */
export function load(text: string | Uint8Array, options: LoadOptions = {}) {
  return loadManifests(['-'], { ...options, stdin: stream(text) });
}

/** Returns the problems of a text as a person reads them, without the file's name. */
export async function problemsOf(text: string, options: LoadOptions = {}): Promise<string[]> {
  const { problems } = await load(text, options);
  return problems.map((problem) => formatProblem(problem).replace(/^<stdin>:?/, ''));
}

export async function* stream(text: string | Uint8Array): AsyncGenerator<Uint8Array> {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  // In two parts, cut anywhere, even within a character.
  const half = bytes.length >> 1;
  yield bytes.subarray(0, half);
  yield bytes.subarray(half);
}

/** Creates a folder with these files, which is removed at the end of the scope. */
export async function folderOf(files: Readonly<Record<string, string | Uint8Array>>) {
  const path = await mkdtemp(join(tmpdir(), 'podfence-manifests-'));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), content);
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

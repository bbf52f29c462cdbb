/** Paths -> the texts of manifest files, from files, folders and standard input. */
import { createReadStream } from 'node:fs';
import { access, constants, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { nearest } from '../cluster/nearest.ts';
import type { ManifestProblem } from './problems.ts';

/** A file's text, or why there is none. */
export type Source =
  | { readonly file: string; readonly text: string }
  | { readonly file: string; readonly problem: ManifestProblem };

/**
 * Larger files are reported and not read: reading one takes up to a hundred times its size in
 * memory.
 */
export const MAX_BYTES = 32 * 2 ** 20;

const MANIFEST = /\.(?:yaml|yml|json)$/;

/**
 * Reads every path in turn: a file whatever its name; of a folder all files below it (`*.yaml`,
 * `*.yml`, `*.json`, sorted, without hidden ones); `-` as standard input. Reads a file once, even
 * if several paths lead to it.
 */
export async function* readSources(
  paths: readonly string[],
  stdin: AsyncIterable<Uint8Array | string>,
): AsyncGenerator<Source> {
  const seen = new Set<string>();
  for (const path of paths) {
    if (path === '-') {
      if (!seen.has('-')) yield await readInput(stdin);
      seen.add('-');
    } else {
      yield* readPath(path, seen);
    }
  }
}

/** Returns a problem for each path that cannot be read. */
export async function missingPaths(paths: readonly string[]): Promise<readonly ManifestProblem[]> {
  const problems = paths.map((path) =>
    access(path, constants.R_OK).then(
      () => [],
      (error) => pathProblem(path, error),
    ),
  );
  return (await Promise.all(problems)).flat();
}

async function* readPath(path: string, seen: Set<string>): AsyncGenerator<Source> {
  try {
    const isFolder = (await stat(path)).isDirectory();
    if (!isFolder) {
      yield* readOnce(path, seen);
      return;
    }
    let found = 0;
    for await (const source of readFolder(path, seen)) {
      found++;
      yield source;
    }
    if (found === 0) yield fileProblem(path, 'the folder contains no *.yaml, *.yml or *.json file');
  } catch (error) {
    yield { file: path, problem: await pathProblem(path, error) };
  }
}

async function* readFolder(folder: string, seen: Set<string>): AsyncGenerator<Source> {
  const real = await realpath(folder);
  // A symbolic link may lead back up.
  if (seen.has(real)) return;
  seen.add(real);
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  for (const name of names) {
    const path = join(folder, name);
    try {
      const entry = await stat(path);
      if (entry.isDirectory()) yield* readFolder(path, seen);
      else if (entry.isFile() && MANIFEST.test(name)) yield* readOnce(path, seen);
    } catch (error) {
      if (MANIFEST.test(name)) yield fileProblem(path, readFailure(error));
    }
  }
}

async function* readOnce(path: string, seen: Set<string>): AsyncGenerator<Source> {
  const real = await realpath(path);
  if (seen.has(real)) return;
  seen.add(real);
  try {
    // Reading counts the bytes: a device or pipe has no size beforehand.
    yield await readInput(createReadStream(path), path);
  } catch (error) {
    yield fileProblem(path, readFailure(error));
  }
}

async function readInput(input: AsyncIterable<Uint8Array | string>, file = '-'): Promise<Source> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of input) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    size += bytes.byteLength;
    if (size > MAX_BYTES)
      return fileProblem(file, TOO_LARGE, 'Split it, or leave out what is neither a policy nor a pod.');
    chunks.push(bytes);
  }
  return decode(file, Buffer.concat(chunks));
}

const TOO_LARGE = `the file is larger than ${MAX_BYTES / 2 ** 20} MiB and is not read`;

function decode(file: string, bytes: Uint8Array): Source {
  const wide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  if (wide) return fileProblem(file, 'the file is UTF-16 text', 'Save it as UTF-8.');
  if (bytes.includes(0)) return fileProblem(file, 'the file is binary, neither YAML nor JSON');
  try {
    return { file, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return fileProblem(file, 'the file is not UTF-8 text', 'Save it as UTF-8.');
  }
}

async function pathProblem(path: string, error: unknown): Promise<ManifestProblem> {
  return problemOf(path, readFailure(error), await missingHint(path, error));
}

function fileProblem(file: string, message: string, hint?: string): Source {
  return { file, problem: problemOf(file, message, hint) };
}

function problemOf(file: string, message: string, hint?: string): ManifestProblem {
  const problem: ManifestProblem = { file, line: 0, column: 0, object: '', field: '', message, severity: 'error' };
  return hint === undefined ? problem : { ...problem, hint };
}

function readFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'ENOENT':
      return 'there is no such file or folder';
    case 'EACCES':
    case 'EPERM':
      return 'the file may not be read: permission denied';
    case 'ELOOP':
      return 'the symbolic link leads in a circle';
    default:
      return `the file cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function missingHint(path: string, error: unknown): Promise<string | undefined> {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) return undefined;
  const folder = dirname(path);
  const names = await readdir(folder).catch(() => []);
  const meant = nearest(basename(path), names);
  return meant === undefined ? undefined : `Did you mean ${join(folder, meant)}?`;
}

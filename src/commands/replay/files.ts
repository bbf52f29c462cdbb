/** Checks the files of `podfence replay` before anything is read or written. */
import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { CaptureWriter } from '../../replay/capture-writer.ts';
import { InputError } from '../shared/exit-code.ts';

/** @throws InputError for a file that cannot be read, and for a second "-" */
export function checkCaptures(files: readonly string[], manifests: readonly string[] = []): void {
  const readers = [...files, ...manifests].filter((path) => path === '-');
  if (readers.length > 1) throw new InputError('"-" was given several times, and standard input can be read only once');
  for (const file of files) if (file !== '-') statOf(file);
}

/**
 * Creates the file for denied packets.
 * @throws InputError if that fails, or if it would overwrite one of the captures
 */
export function openWriter(path: string, captures: readonly string[]): CaptureWriter {
  if (path === '-')
    throw new InputError('--write-denied: give the name of a file, because standard output is for flows');
  const there = statSync(path, { throwIfNoEntry: false });
  const capture = there?.isFile() && captures.find((file) => file !== '-' && isSame(statOf(file), there));
  if (capture) throw new InputError(`--write-denied: ${path} is the capture ${capture}, which it would overwrite`);
  try {
    return new CaptureWriter(path);
  } catch (error) {
    throw new InputError(`--write-denied: ${(error as Error).message}`);
  }
}

/** Returns a file's name for messages. */
export function nameOf(file: string): string {
  return file === '-' ? 'standard input' : file;
}

function statOf(file: string): Stats {
  try {
    const stats = statSync(file);
    if (stats.isDirectory()) throw new InputError(`${file}: this is a folder, give the files in it`);
    accessSync(file, constants.R_OK);
    return stats;
  } catch (error) {
    throw error instanceof InputError ? error : new InputError(`${file}: ${reasonOf(error as NodeJS.ErrnoException)}`);
  }
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'there is no such file';
  return code === 'EACCES' ? 'it cannot be read: permission denied' : message;
}

function isSame(a: Stats, b: Stats): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

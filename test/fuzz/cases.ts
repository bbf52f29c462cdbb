/** Inputs that once caused a fault, kept as files: `cases/TARGET/NAME.case`. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const FOLDER = join(import.meta.dirname, 'cases');
const ROOT = join(import.meta.dirname, '../..');
const END = '.case';

/** Returns the names of a target's cases, sorted. */
export function casesOf(target: string): string[] {
  return readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.startsWith(`${target}/`) && path.endsWith(END))
    .map((path) => path.slice(target.length + 1, -END.length))
    .sort();
}

export function readCase(target: string, name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(FOLDER, target, name + END)));
}

/**
 * Keeps the input under a name made from its hash; returns its path, relative to the checkout. A
 * person should rename it.
 */
export function keepCase(target: string, input: Uint8Array): string {
  const name = createHash('sha256').update(input).digest('hex').slice(0, 12);
  const path = join(FOLDER, target, name + END);
  mkdirSync(join(FOLDER, target), { recursive: true });
  writeFileSync(path, input);
  return relative(ROOT, path);
}

/** The files of daemonset/ that everything else is made from, as text: comments and all. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';

export const DAEMONSET = resolve(import.meta.dirname, '..');

/** @param path below daemonset/ */
export function read(path: string): string {
  return readFileSync(join(DAEMONSET, path), 'utf8');
}

/** The version of podfence, and of its image. */
export function version(): string {
  const { version } = JSON.parse(readFileSync(join(DAEMONSET, '..', 'package.json'), 'utf8')) as { version: string };
  return version;
}

/** The files of a kustomization, in its order. */
export function resources(folder: string): readonly string[] {
  const { resources } = parse(read(join(folder, 'kustomization.yaml'))) as { resources: readonly string[] };
  return resources.map((file) => join(folder, file));
}

/**
 * Puts one text in the place of another.
 * @throws Error where it does not stand there that often: what is generated from has changed
 */
export function replace(file: string, text: string, from: string, to: string, times = 1): string {
  const found = text.split(from).length - 1;
  if (found !== times) {
    throw new Error(`daemonset/${file} has ${JSON.stringify(from)} ${found} times, and the generator expects ${times}`);
  }
  return text.replaceAll(from, () => to);
}

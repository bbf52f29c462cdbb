/** The documents of a file. */
import type { ManifestDocument } from './document.ts';
import { readJson } from './json.ts';
import { readYaml } from './yaml.ts';

/**
 * Splits a text into its documents, without empty ones. It is JSON if the file name ends in .json,
 * or if it looks like JSON and parses; otherwise YAML.
 */
export function readDocuments(text: string, fileName: string): readonly ManifestDocument[] {
  const namedJson = fileName.endsWith('.json');
  if (namedJson || /^\s*[{[]/.test(text)) {
    const document = readJson(text, namedJson);
    if (document !== undefined) return [document];
  }
  return namedJson ? [] : readYaml(text);
}

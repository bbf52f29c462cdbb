/** The documents of a file. */
import type { ManifestDocument } from './document.ts';
import { readJson } from './json.ts';
import { readYaml } from './yaml.ts';

/**
 * Splits a text into its documents. JSON where it looks like it and parses, or is named so; YAML otherwise. Empty documents
 * are left out.
 */
export function readDocuments(text: string, fileName: string): readonly ManifestDocument[] {
  const namedJson = fileName.endsWith('.json');
  if (namedJson || /^\s*[{[]/.test(text)) {
    const document = readJson(text, namedJson);
    if (document !== undefined) return [document];
  }
  return namedJson ? [] : readYaml(text);
}

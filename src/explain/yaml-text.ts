/** Writes plain JSON values as YAML, in the block style of manifests. */

export type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json };

/** Returns a document without `---`; each line ends with a line feed. */
export function yamlText(value: { readonly [key: string]: Json }): string {
  return `${lines(value).join('\n')}\n`;
}

function lines(value: Json): string[] {
  const short = oneLine(value);
  if (short !== undefined) return [short];
  if (isList(value)) return value.flatMap((element) => listItem(lines(element)));
  return Object.entries(value).flatMap(([key, child]) => entry(scalar(key), child));
}

/** Returns the value on one line if it fits: scalars, lists of scalars, empty maps. */
function oneLine(value: Json): string | undefined {
  if (typeof value !== 'object') return scalar(value);
  if (!isList(value)) return Object.keys(value).length === 0 ? '{}' : undefined;
  return value.every((element) => typeof element !== 'object') ? `[${value.map(scalar).join(', ')}]` : undefined;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function listItem([first = '', ...others]: readonly string[]): string[] {
  return [`- ${first}`, ...indented(others)];
}

function entry(key: string, value: Json): string[] {
  const short = oneLine(value);
  return short === undefined ? [`${key}:`, ...indented(lines(value))] : [`${key}: ${short}`];
}

function indented(block: readonly string[]): string[] {
  return block.map((line) => `  ${line}`);
}

/** Words that YAML 1.1 readers do not read as text; some read `e5` as a number. */
const OTHER_THAN_TEXT = /^(?:y|n|yes|no|on|off|true|false|null|e\d+)$/i;

/** Quotes text unless every reader takes it for text. */
function scalar(value: Json): string {
  if (typeof value !== 'string') return String(value);
  const isWord = /^[A-Za-z][-\w./]*$/.test(value) && !OTHER_THAN_TEXT.test(value);
  const plain = isWord || /^\d+(\.\d+){3}\/\d+$/.test(value);
  return plain ? value : JSON.stringify(value);
}

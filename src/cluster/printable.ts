/**
 * Makes text that others wrote safe for a terminal, a log or a reader of JSON: names, files, an
 * agent's answers. None of it may move the cursor, change colours or the writing direction, or end
 * a line that podfence began.
 */

/**
 * Control characters (C0, DEL, C1), line and paragraph separators, and characters that control the
 * writing direction (https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters).
 */
const UNSAFE = '\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069';
const IN_LINE = new RegExp(`[${UNSAFE}]`, 'g');
const IN_LINES = new RegExp(`(?!\\n)[${UNSAFE}]`, 'g');
/** JSON escapes C0 itself; a line feed may stand between values. */
const IN_JSON = new RegExp(`(?!\\n)[${UNSAFE}]`, 'g');

/** Makes text safe inside a line: unsafe characters become U+FFFD. */
export function printable(text: string): string {
  return text.replaceAll(IN_LINE, '\ufffd');
}

/** Makes a text of several lines safe; its line feeds stay. */
export function printableLines(text: string): string {
  return text.replaceAll(IN_LINES, '\ufffd');
}

/** Makes every text in a JSON value printable. Texts under the key `yaml` keep their line feeds. */
export function printableValue<T>(value: T): T {
  return clean(value, '') as T;
}

function clean(value: unknown, key: string): unknown {
  if (typeof value === 'string') return key === 'yaml' ? printableLines(value) : printable(value);
  if (Array.isArray(value)) return value.map((each) => clean(each, key));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [printable(name), clean(each, name)]));
}

/**
 * Returns the value as JSON with every unsafe character escaped: a parser gets the original, a
 * terminal does not.
 */
export function jsonText(value: unknown, indent?: number): string {
  return escapedJson(JSON.stringify(value, undefined, indent));
}

/** Escapes the unsafe characters of JSON text. */
export function escapedJson(json: string): string {
  return json.replaceAll(IN_JSON, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * Somebody else's text on its way to a terminal, a log or a reader of JSON: names, files, answers of an agent. Nothing in it may
 * move the cursor, change colours, turn the direction of writing or end a line that we began.
 */

/**
 * Control characters (C0, DEL, C1), line and paragraph separator, and what steers the direction of writing
 * (https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters).
 */
const UNSAFE = '\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069';
const IN_LINE = new RegExp(`[${UNSAFE}]`, 'g');
const IN_LINES = new RegExp(`(?!\\n)[${UNSAFE}]`, 'g');
/** JSON escapes C0 by itself, and a line feed may stand between values. */
const IN_JSON = new RegExp(`(?!\\n)[${UNSAFE}]`, 'g');

/** For a part of one line: what is unsafe becomes U+FFFD. */
export function printable(text: string): string {
  return text.replaceAll(IN_LINE, '\ufffd');
}

/** For a text of several lines: it keeps its line feeds. */
export function printableLines(text: string): string {
  return text.replaceAll(IN_LINES, '\ufffd');
}

/** A JSON value with every text in it printable. Texts called `yaml` have lines. */
export function printableValue<T>(value: T): T {
  return clean(value, '') as T;
}

function clean(value: unknown, key: string): unknown {
  if (typeof value === 'string') return key === 'yaml' ? printableLines(value) : printable(value);
  if (Array.isArray(value)) return value.map((each) => clean(each, key));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [printable(name), clean(each, name)]));
}

/** The value as JSON in which every unsafe character is an escape: a reader gets what was there, a terminal does not. */
export function jsonText(value: unknown, indent?: number): string {
  return escapedJson(JSON.stringify(value, undefined, indent));
}

/** The same of JSON text. */
export function escapedJson(json: string): string {
  return json.replaceAll(IN_JSON, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * JSON manifests. JSON.parse yields the values; a scan of the text finds the places of fields and
 * errors.
 */
import type { Path } from '../cluster/projection.ts';
import type { ManifestDocument, Position } from './document.ts';
import { LineTable } from './line-table.ts';
import { recoverPolicies } from './recovery.ts';

/**
 * Reads a JSON text. Returns undefined for a blank text. Also returns undefined for a text that
 * does not parse, unless `mustParse`: it may be YAML.
 */
export function readJson(text: string, mustParse: boolean): ManifestDocument | undefined {
  try {
    return new JsonDocument(text, JSON.parse(text));
  } catch {
    if (!mustParse || text.trim() === '') return undefined;
  }
  const scan = scanJson(text);
  const { offset, ...problem } = 'offset' in scan ? scan : { offset: 0, message: 'the JSON cannot be read' };
  const lines = new LineTable(text);
  const brokenPolicies = recoverPolicies(text, offset).map(({ offset: at, readable }) => ({
    ...lines.positionAt(at),
    readable,
  }));
  return {
    value: undefined,
    locate: () => lines.positionAt(offset),
    corrected: () => undefined,
    syntaxProblems: [{ ...lines.positionAt(offset), ...problem }],
    brokenPolicies,
    isTemplate: text.includes('{{'),
  };
}

class JsonDocument implements ManifestDocument {
  readonly value: unknown;
  readonly syntaxProblems = [];
  readonly brokenPolicies = [];
  readonly isTemplate = false;
  readonly #text: string;
  #root: JsonNode | undefined;
  readonly #lines: LineTable;

  constructor(text: string, value: unknown) {
    this.#text = text;
    this.#lines = new LineTable(text);
    this.value = value;
  }

  /** Corrects nothing: only YAML is written by hand. */
  corrected(): undefined {
    return undefined;
  }

  locate(path: Path): Position {
    if (this.#root === undefined) {
      const scan = scanJson(this.#text);
      this.#root = 'root' in scan ? scan.root : { start: 0 };
    }
    let node = this.#root;
    for (const step of path) {
      const next = node.children?.get(step);
      if (next === undefined) break;
      node = next;
    }
    return this.#lines.positionAt(node.start);
  }
}

interface JsonNode {
  /** Offset of the value, or of its key if the value is a map or list. */
  readonly start: number;
  readonly children?: Map<string | number, JsonNode>;
}

interface JsonError {
  readonly offset: number;
  readonly message: string;
  readonly hint?: string;
}

/** What the grammar allows next. */
type Expected = 'a value' | 'a value or ]' | 'a key' | 'a key or }' | ':' | ', or ]' | ', or }' | 'the end';

interface Frame {
  readonly children: Map<string | number, JsonNode>;
  readonly isMap: boolean;
  key: string | number;
  keyStart: number;
}

// Strings contain anything but control characters, quotes and bad escapes (RFC 8259 section 7).
const TOKEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that JSON forbids
  /[{}[\],:]|"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** Scans the tokens in one pass, without recursion, because a file may be nested to any depth. */
function scanJson(text: string): { readonly root: JsonNode } | JsonError {
  const frames: Frame[] = [];
  let root: JsonNode | undefined;
  let expected: Expected = 'a value';
  let offset = 0;
  let last = '';
  for (;;) {
    while (offset < text.length && ' \t\r\n'.includes(text.charAt(offset))) offset++;
    if (offset === text.length) break;
    TOKEN.lastIndex = offset;
    const token = TOKEN.exec(text)?.[0];
    const frame = frames.at(-1);
    const isValue = token !== undefined && !'}],:'.includes(token);
    if (isValue && expected.startsWith('a value')) {
      const opens = token === '{' || token === '[';
      const node: JsonNode = opens
        ? { start: frame?.isMap ? frame.keyStart : offset, children: new Map() }
        : { start: offset };
      if (frame === undefined) root = node;
      else frame.children.set(frame.key, node);
      if (node.children !== undefined) {
        frames.push({ children: node.children, isMap: token === '{', key: 0, keyStart: offset });
        expected = token === '{' ? 'a key or }' : 'a value or ]';
      } else {
        expected = afterValue(frame);
      }
    } else if (frame !== undefined && token?.startsWith('"') && expected.startsWith('a key')) {
      frame.key = JSON.parse(token) as string;
      frame.keyStart = offset;
      expected = ':';
    } else if (token === ':' && expected === ':') {
      expected = 'a value';
    } else if (token === ',' && frame !== undefined && expected.startsWith(',')) {
      if (typeof frame.key === 'number') frame.key++;
      expected = frame.isMap ? 'a key' : 'a value';
    } else if ((token === '}' || token === ']') && expected.endsWith(token)) {
      frames.pop();
      expected = afterValue(frames.at(-1));
    } else {
      return unexpected(text, offset, expected, last);
    }
    last = token;
    offset += token.length;
  }
  if (root === undefined || frames.length > 0) {
    return { offset: text.trimEnd().length, message: `the JSON ends where ${expected} was expected` };
  }
  return { root };
}

function afterValue(frame: Frame | undefined): Expected {
  if (frame === undefined) return 'the end';
  return frame.isMap ? ', or }' : ', or ]';
}

function unexpected(text: string, offset: number, expected: Expected, last: string): JsonError {
  const rest = text.slice(offset, offset + 20);
  const found = /^(?:\w+|.)/su.exec(rest)?.[0] ?? '';
  const message = `expected ${expected}, found ${JSON.stringify(found)}`;
  const hint = syntaxHint(rest, expected, last);
  return hint === undefined ? { offset, message } : { offset, message, hint };
}

function syntaxHint(rest: string, expected: Expected, last: string): string | undefined {
  if (/^[}\]]/.test(rest) && last === ',') return 'Remove the comma in front of it.';
  if (/^(?:\/[/*]|#)/.test(rest)) return 'JSON has no comments.';
  if (rest.startsWith("'")) return 'JSON strings need double quotes.';
  if (expected.startsWith('a key') && /^\w/.test(rest)) return 'JSON keys need double quotes.';
  if (expected.startsWith(',') && /^["{[]/.test(rest)) return 'Put a comma in front of it.';
  if (expected === 'the end' && /^[{[]/.test(rest))
    return 'Put several objects into the items of a List, or into separate files.';
  return undefined;
}

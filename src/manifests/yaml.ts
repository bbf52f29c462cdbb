/** YAML manifests. Each document of a file is parsed alone: an error in one spares the others. */
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  type ScalarTag,
  visit,
  type YAMLMap,
} from 'yaml';
import type { Path } from '../cluster/projection.ts';
import type { ManifestDocument, Position } from './document.ts';
import { LineTable } from './line-table.ts';
import { recoverPolicies } from './recovery.ts';
import { withoutLongComments } from './yaml-comments.ts';
import { correctedText } from './yaml-corrections.ts';

/** Kubernetes reads YAML 1.1 booleans: an unquoted `yes` is not a string there, nor is it here. */
const YAML_1_1_BOOLEAN: ScalarTag = {
  tag: 'tag:yaml.org,2002:bool',
  default: true,
  test: /^(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$/,
  resolve: (text) => /^(?:y|on)/i.test(text),
};

/** A syntax mistake. The offset is one of the part's text. */
interface Mistake {
  readonly offset: number;
  readonly message: string;
  readonly hint?: string;
}

/** Errors for which the parser's own message does not say what to do. */
const EXPLAINED: Readonly<Record<string, Omit<Mistake, 'offset'>>> = {
  DUPLICATE_KEY: { message: 'this key appears twice in the map', hint: 'Remove one of them.' },
  BLOCK_AS_IMPLICIT_KEY: {
    message: 'the value of a key contains a second `key:`',
    hint: 'Put it on a line of its own, or quote the value.',
  },
  BAD_SCALAR_START: { message: 'a string may not begin with this character', hint: 'Write it in quotes.' },
};

export function readYaml(text: string): readonly ManifestDocument[] {
  const lines = new LineTable(text);
  const documents: ManifestDocument[] = [];
  for (const [begin, end] of documentsIn(text)) {
    const part = new Part(text.slice(begin, end), begin, lines);
    const document = isBlank(part.text) ? undefined : readPart(part);
    if (document !== undefined) documents.push(document);
  }
  return documents;
}

/** The text of one document, whose offsets it converts to positions in the file. */
class Part {
  readonly text: string;
  /** Offset of its first character in the file. */
  readonly begin: number;
  /** The lines of the whole file. */
  readonly #lines: LineTable;

  constructor(text: string, begin: number, lines: LineTable) {
    this.text = text;
    this.begin = begin;
    this.#lines = lines;
  }

  get isTemplate(): boolean {
    return this.text.includes('{{');
  }

  positionOf(offset: number): Position {
    return this.#lines.positionAt(this.begin + offset);
  }

  /** @param firstError offset of the parser's first error: what was read before it is certain */
  broken(mistakes: readonly Mistake[], firstError: number): ManifestDocument {
    const policies = recoverPolicies(this.text, firstError);
    return {
      value: undefined,
      locate: () => this.positionOf(firstError),
      corrected: () => undefined,
      syntaxProblems: mistakes.map(({ offset, ...rest }) => ({ ...this.positionOf(offset), ...rest })),
      brokenPolicies: policies.map(({ offset, readable }) => ({ ...this.positionOf(offset), readable })),
      isTemplate: this.isTemplate,
    };
  }
}

/**
 * Yields where the documents of a stream begin and end. It cuts at `---` and `...` lines. YAML
 * forbids these at the start of a line inside any value (c-forbidden, section 9.1.2), so the cut is
 * right however broken the documents are.
 */
function* documentsIn(text: string): Iterable<readonly [number, number]> {
  let begin = 0;
  for (const marker of text.matchAll(/^(---|\.\.\.)(?=\s|$)/gm)) {
    const lineEnd = text.indexOf('\n', marker.index);
    const end = marker[1] === '---' ? marker.index : lineEnd < 0 ? text.length : lineEnd + 1;
    yield [begin, end];
    begin = end;
  }
  yield [begin, text.length];
}

/** A line with more than a comment, a marker or a directive. */
const LINE_WITH_CONTENT = /^(?!(?:(?:---|\.\.\.)?[^\S\n]*(?:#.*)?|%.*)$)./m;

/** Whether a text has no content, as Helm leaves it for a template that renders to nothing. */
function isBlank(text: string): boolean {
  return !LINE_WITH_CONTENT.test(text);
}

/** Reads one document; returns undefined for an empty one. */
function readPart(part: Part): ManifestDocument | undefined {
  try {
    const document = parseDocument(withoutLongComments(part.text), {
      customTags: [YAML_1_1_BOOLEAN],
      logLevel: 'error',
      merge: true,
      prettyErrors: false,
      // The parser's own check compares every key with all others of its map: see repeatedKeys.
      uniqueKeys: false,
    });
    const errors: readonly ParseError[] = [...document.errors, ...repeatedKeys(document)];
    const [first, ...more] = errors.toSorted((a, b) => a.pos[0] - b.pos[0]);
    if (first !== undefined) {
      // Later errors mostly follow from the first one; duplicate keys do not.
      const worth = [first, ...more.filter((error) => error.code === 'DUPLICATE_KEY')];
      return part.broken(
        worth.map((error) => explain(part.text, error)),
        first.pos[0],
      );
    }
    const dangling = danglingAlias(document);
    if (dangling !== undefined) return part.broken([dangling], dangling.offset);
    const value: unknown = document.toJS();
    if (value === null || value === undefined) return undefined;
    return {
      value,
      locate: (path) => part.positionOf(offsetOf(document, path)),
      corrected: (path, correction) =>
        correctedText(document, part.text, path, correction)?.map(({ start, end, text }) => ({
          start: start + part.begin,
          end: end + part.begin,
          text,
        })),
      syntaxProblems: [],
      brokenPolicies: [],
      isTemplate: part.isTemplate,
    };
  } catch (error) {
    // The nesting exceeds the stack, or aliases expand beyond the parser's limit.
    const text = error instanceof Error ? error.message : String(error);
    const reason = error instanceof RangeError ? 'it is nested too deeply' : text;
    return part.broken([{ offset: 0, message: `the YAML cannot be read: ${reason}` }], 0);
  }
}

interface ParseError {
  readonly code: string;
  readonly message: string;
  readonly pos: readonly [number, number];
}

/** Finds duplicate keys in one pass. */
function repeatedKeys(document: Document): readonly ParseError[] {
  const found: ParseError[] = [];
  visit(document, {
    Map(_, map) {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const offset = startOf(key) ?? 0;
        if (seen.has(key.value))
          found.push({ code: 'DUPLICATE_KEY', message: 'Map keys must be unique', pos: [offset, offset + 1] });
        seen.add(key.value);
      }
    },
  });
  return found;
}

function explain(text: string, { code, message, pos }: ParseError): Mistake {
  const tab = code === 'DUPLICATE_KEY' ? undefined : tabNear(text, pos[0]);
  if (tab !== undefined) {
    return { offset: tab, message: 'a tab indents this line; YAML allows spaces only', hint: 'Indent with spaces.' };
  }
  if (code === 'RESOURCE_EXHAUSTION') {
    // The exact offset depends on the remaining stack, and the same text must yield the same
    // problems.
    return { offset: text.lastIndexOf('\n', pos[0] - 1) + 1, message: 'the YAML is nested too deeply in this line' };
  }
  const plain = `the YAML does not parse: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
  return { offset: pos[0], ...(EXPLAINED[code] ?? { message: plain }) };
}

/**
 * Returns the offset of a tab in the indentation of the error's line or the next one: the parser
 * notices some tabs only by their effect on the line before.
 */
function tabNear(text: string, offset: number): number | undefined {
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1;
  const indentation = /^(?:[^\n]*\n)? *(?=\t)/.exec(text.slice(lineStart));
  return indentation === null ? undefined : lineStart + indentation[0].length;
}

/** Finds the first alias without an anchor before it: mostly a string such as `*.example.com`. */
function danglingAlias(document: Document): Mistake | undefined {
  const anchors = new Set<string>();
  let found: Mistake | undefined;
  visit(document, {
    Node(_, node) {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) anchors.add(node.anchor);
        return undefined;
      }
      if (anchors.has(node.source)) return undefined;
      const message = `there is no anchor for the alias *${node.source}`;
      found = { offset: startOf(node) ?? 0, message, hint: 'A text that begins with * needs quotes.' };
      return visit.BREAK;
    },
  });
  return found;
}

/**
 * Returns where the field at `path` begins: at the scalar itself, or at the key of a map or list. A
 * missing field is where its parent is.
 */
function offsetOf(document: Document, path: Path): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    let key: unknown;
    let value: unknown;
    if (isMap(node)) {
      const pair = pairsOf(node).get(String(step));
      if (pair === undefined) break;
      ({ key, value } = pair);
    } else if (isSeq(node) && typeof step === 'number') {
      value = node.items[step];
      if (value === undefined) break;
    } else {
      break;
    }
    const nested = isCollection(value) || isAlias(value) || isNothing(value);
    offset = (nested ? (startOf(key) ?? startOf(value)) : (startOf(value) ?? startOf(key))) ?? offset;
    node = value;
  }
  return offset;
}

/** The pairs of each map by key: many problems of one map look up a field each. */
const PAIRS = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();

function pairsOf(map: YAMLMap): ReadonlyMap<string, Pair> {
  let pairs = PAIRS.get(map);
  if (pairs === undefined) {
    pairs = new Map(map.items.map((pair) => [keyText(pair.key), pair]));
    PAIRS.set(map, pairs);
  }
  return pairs;
}

function isNothing(value: unknown): boolean {
  return value === null || (value as { value?: unknown }).value === null;
}

function keyText(key: unknown): string {
  return String((key as { value?: unknown } | null)?.value ?? '');
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

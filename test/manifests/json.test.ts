import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ManifestDocument } from '../../src/manifests/document.ts';
import { readJson } from '../../src/manifests/json.ts';

function read(text: string): ManifestDocument {
  const document = readJson(text, true);
  if (document === undefined) throw new Error('no document');
  return document;
}

describe('locate', () => {
  const text = '{\n  "kind": "List",\n  "items": [\n    {"a\\"b": [1, {"c": null}]},\n    "\\u00e9,]}"\n  ]\n}\n';
  it.each<[(string | number)[], number, number]>([
    [[], 1, 1],
    [['kind'], 2, 11],
    [['items'], 3, 3],
    [['items', 0], 4, 5],
    [['items', 0, 'a"b'], 4, 6],
    [['items', 0, 'a"b', 0], 4, 15],
    [['items', 0, 'a"b', 1, 'c'], 4, 24],
    [['items', 1], 5, 5],
    [['items', 2], 3, 3],
    [['items', 0, 'x'], 4, 5],
  ])('%j is at %i:%i', (path, line, column) => {
    expect(read(text).locate(path)).toEqual({ line, column });
  });

  it('finds every scalar of any JSON text', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(undefined, 2), (json, indent) => {
        const value: unknown = JSON.parse(json);
        const text = JSON.stringify(value, null, indent);
        const document = read(text);
        const lines = text.split('\n');
        for (const [path, scalar] of scalarsOf(value)) {
          const { line, column } = document.locate(path);
          expect(lines[line - 1]?.slice(column - 1)).toMatch(startingWith(JSON.stringify(scalar)));
        }
      }),
    );
  });
});

function startingWith(text: string): RegExp {
  return new RegExp(`^${text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}`);
}

function* scalarsOf(value: unknown, path: (string | number)[] = []): Generator<[(string | number)[], unknown]> {
  if (typeof value !== 'object' || value === null) {
    yield [path, value];
  } else if (Array.isArray(value)) {
    for (const [index, element] of value.entries()) yield* scalarsOf(element, [...path, index]);
  } else {
    for (const [key, element] of Object.entries(value)) yield* scalarsOf(element, [...path, key]);
  }
}

describe('a text that does not parse', () => {
  it.each<[string, string]>([
    ['{"a": 1,}', '1:9 expected a key, found "}" | Remove the comma in front of it.'],
    ['{"a": [1, 2,]}', '1:13 expected a value, found "]" | Remove the comma in front of it.'],
    ['{"a": 1\n "b": 2}', '2:2 expected , or }, found "\\"" | Put a comma in front of it.'],
    ['{\n  // note\n  "a": 1}', '2:3 expected a key or }, found "/" | JSON has no comments.'],
    ["{'a': 1}", '1:2 expected a key or }, found "\'" | JSON strings need double quotes.'],
    ['{a: 1}', '1:2 expected a key or }, found "a" | JSON keys need double quotes.'],
    ['{"a": tru}', '1:7 expected a value, found "tru"'],
    ['{"a": 01}', '1:8 expected , or }, found "1"'],
    ['{"a" 1}', '1:6 expected :, found "1"'],
    ['{"a": 1', '1:8 the JSON ends where , or } was expected'],
    ['[1, 2', '1:6 the JSON ends where , or ] was expected'],
    [
      '{"a": 1}\n{"b": 2}',
      '2:1 expected the end, found "{" | Put several objects into the items of a List, or into separate files.',
    ],
    ['{"a": "x\ny"}', '1:7 expected a value, found "\\""'],
    ['{"a": 1]', '1:8 expected , or }, found "]"'],
  ])('%j', (text, expected) => {
    const { value, syntaxProblems } = read(text);
    expect(value).toBeUndefined();
    expect(
      syntaxProblems.map(
        ({ line, column, message, hint }) => `${line}:${column} ${message}${hint ? ` | ${hint}` : ''}`,
      ),
    ).toEqual([expected]);
  });

  it('is left to the YAML parser if it is not named JSON', () => {
    expect(readJson('{a: 1}', false)).toBeUndefined();
  });

  it('is an error for the scanner exactly if it is one for JSON.parse', () => {
    const text = fc
      .string({ unit: fc.constantFrom(...'{}[],:"a1 -.\\tn'), maxLength: 12 })
      .filter((candidate) => candidate.trim() !== '');
    fc.assert(
      fc.property(text, (candidate) => {
        let parses = true;
        try {
          JSON.parse(candidate);
        } catch {
          parses = false;
        }
        const [problem] = read(candidate).syntaxProblems;
        expect(problem === undefined).toBe(parses);
        expect(problem?.message).not.toBe('the JSON cannot be read');
      }),
      { numRuns: 3000 },
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineScanner } from '../../src/kube/line-scanner.ts';
import { ListScanner } from '../../src/kube/list-scanner.ts';

/** Cuts bytes at these places, given as fractions of the whole. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => Math.floor(place * bytes.length)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });
const text = fc.string({ unit: 'binary' });
const json = fc.jsonValue({ stringUnit: 'binary' });

describe('lines', () => {
  const linesOf = (chunks: readonly Buffer[], limit = 1000) => {
    const scanner = new LineScanner(limit);
    const lines = chunks.flatMap((chunk) => [...scanner.push(chunk)].map(String));
    scanner.end();
    return lines;
  };

  it('arrive whole from chunks that are cut anywhere, even within a character', () => {
    fc.assert(
      fc.property(fc.array(text), places, (values, cuts) => {
        const lines = values.map((value) => JSON.stringify(value));
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        expect(linesOf(cut(bytes, cuts), 1e6)).toEqual(lines);
      }),
    );
  });

  it('that are empty are left out', () => {
    expect(linesOf([Buffer.from('\na\n\n'), Buffer.from('\nb\n')])).toEqual(['a', 'b']);
  });

  it.each([[['x'.repeat(11)]], [['x'.repeat(6), 'x'.repeat(5)]], [[`${'x'.repeat(11)}\n`]], [['xxxxxx', 'xxxxx\n']]])(
    'longer than the limit are an error (%j)',
    (chunks) => {
      const buffers = chunks.map((chunk) => Buffer.from(chunk));
      expect(() => linesOf(buffers, 10)).toThrow('longer than 10 bytes');
    },
  );

  it('that never end are an error', () => {
    expect(() => linesOf([Buffer.from('a\nb')])).toThrow('in the middle of a line');
  });
});

describe('items of a list', () => {
  const scan = (chunks: readonly Buffer[], limit = 1e6) => {
    const scanner = new ListScanner(limit);
    const items = chunks.flatMap((chunk) => [...scanner.push(chunk)].map((item) => JSON.parse(item.toString())));
    return { items, envelope: scanner.end() };
  };
  const scanText = (...chunks: string[]) =>
    scan(
      chunks.map((chunk) => Buffer.from(chunk)),
      100,
    );

  it('arrive whole from chunks that are cut anywhere, whatever is in and around them', () => {
    const map = fc.dictionary(text, json);
    const around = fc.dictionary(
      text.filter((key) => key !== 'items' && key !== '__proto__'),
      json,
    );
    fc.assert(
      fc.property(
        fc.array(map),
        around,
        around,
        fc.constantFrom(0, 2),
        places,
        (items, before, after, indent, cuts) => {
          const list = { ...before, items, ...after };
          const bytes = Buffer.from(JSON.stringify(list, undefined, indent));
          const scanned = scan(cut(bytes, cuts));
          expect(scanned.items).toEqual(JSON.parse(JSON.stringify(items)));
          expect(scanned.envelope).toEqual(JSON.parse(JSON.stringify({ ...list, items: [] })));
        },
      ),
    );
  });

  it('are only those of the list itself', () => {
    const metadata = '{"items":[{"no":1}],"text":"\\"items\\":[{"}';
    expect(scanText(`{"metadata":${metadata},"items":[{"a":[{"items":[{}]}]}]}`).items).toEqual([
      { a: [{ items: [{}] }] },
    ]);
  });

  it('may be none', () => {
    expect(scanText('{"items":null}')).toEqual({ items: [], envelope: { items: null } });
    expect(scanText('{"items":[]}').items).toEqual([]);
    expect(scanText('{}')).toEqual({ items: [], envelope: {} });
  });

  it.each([
    ['{"items":[{"a":1}'],
    ['{"items":[{"a":'],
    ['{"items":[{"a":"}'],
    ['{"items":[1]}'],
    ['{"items":["a"]}'],
    ['{"items":[[]]}'],
    ['<html>'],
    [''],
    ['{"items":[]}}'],
  ])('that are cut off or not objects are an error (%s)', (chunk) => {
    expect(() => scanText(chunk)).toThrow(expect.objectContaining({ code: 'malformed' }));
  });

  it('longer than the limit are an error', () => {
    const item = `{"a":"${'x'.repeat(99)}"}`;
    expect(() => scanText(`{"items":[${item.slice(0, 50)}`, item.slice(50))).toThrow('longer than 100 bytes');
    expect(() => scanText(`{"items":[${item}`)).toThrow('longer than 100 bytes');
  });

  it('in an endless answer that is not a list are an error', () => {
    const scanner = new ListScanner(100);
    expect(() => {
      for (let index = 0; index < 2000; index++) [...scanner.push(Buffer.alloc(1024, 'x'))];
    }).toThrow('not a list');
  });
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { type Json, yamlText } from '../../src/explain/yaml-text.ts';

const SEED = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };
/** Texts that YAML would read as something else, and others. */
const text = fc.oneof(
  fc.constantFrom(
    'yes',
    'No',
    'null',
    '~',
    '1',
    '1.5',
    '0x1f',
    '1e3',
    'e0',
    'a: b',
    '- a',
    '10.0.0.0/8',
    'a #b',
    '',
    ' ',
    '.inf',
    '2001:db8::/32',
    '1:30',
  ),
  fc.string(),
);
const value = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    text,
    fc.integer(),
    fc.boolean(),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(text, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value;

test('what is written is read back unchanged, by YAML 1.2 and 1.1', () => {
  fc.assert(
    fc.property(fc.dictionary(text, value, { maxKeys: 4, noNullPrototype: true }), (document) => {
      const expected = JSON.parse(JSON.stringify(document));
      expect(parse(yamlText(document)) ?? {}).toEqual(expected);
      expect(parse(yamlText(document), { version: '1.1', merge: false }) ?? {}).toEqual(expected);
    }),
    { numRuns: 500, ...SEED },
  );
});

test('lists of words are on one line, everything else in blocks', () => {
  expect(yamlText({ a: { b: ['x', 'z'], c: [{ d: 1, e: {} }] } })).toBe(
    'a:\n  b: [x, z]\n  c:\n    - d: 1\n      e: {}\n',
  );
});

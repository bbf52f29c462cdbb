import { expect, test } from 'vitest';
import { readModel } from '../../src/matrix/page/client-model.ts';
import { InternedValues } from '../../src/matrix/page/interned.ts';

/** Reads a value as the page does. */
function read(interned: InternedValues, index: number): unknown {
  const data = { title: '', isComparison: false, notes: [], sections: [], ends: [], rows: [] };
  const values = JSON.parse(JSON.stringify(interned.values)) as unknown[];
  return readModel({ ...data, explanations: { '0 0 0': [index] }, values }).explanations(0, 0, 0)[0];
}

test('a value is read back unchanged', () => {
  const value = { text: 'a', lines: 'a\nb\n', list: [1, [true, null], []], empty: {}, '': { text: 'a' } };
  const interned = new InternedValues();
  expect(read(interned, interned.add(value))).toEqual(value);
});

test('equal values are stored once', () => {
  const interned = new InternedValues();
  const first = interned.add({ side: { rule: 'x\ny' }, port: 1 });
  const { length } = interned.values;
  expect(interned.add({ side: { rule: 'x\ny' }, port: 1 })).toBe(first);
  expect(interned.values).toHaveLength(length);
  interned.add({ side: { rule: 'x\ny' }, port: 2 });
  expect(interned.values).toHaveLength(length + 2);
});

test('undefined is left out', () => {
  const interned = new InternedValues();
  expect(read(interned, interned.add({ a: undefined, b: 1 }))).toEqual({ b: 1 });
});

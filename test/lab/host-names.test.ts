import { expect, test } from 'vitest';
import { findHost } from '../../src/lab/host-names.ts';

const hosts = ['shop/frontend-1', 'shop/frontend-2', 'shop/db-0', 'other/db-0', 'client'];

test('a host is found by its full name, or by its name alone if that is unique', () => {
  expect(findHost('shop/db-0', hosts)).toBe('shop/db-0');
  expect(findHost('frontend-2', hosts)).toBe('shop/frontend-2');
  expect(findHost('client', hosts)).toBe('client');
});

test.each([
  ['db-0', 'several hosts of the lab are called db-0: shop/db-0, other/db-0'],
  ['frontend', 'there is no frontend in the lab; did you mean shop/frontend-1, shop/frontend-2?'],
  ['shop/frontnd-1', 'there is no shop/frontnd-1 in the lab; did you mean shop/frontend-1?'],
  ['cleint', 'there is no cleint in the lab; did you mean client?'],
  [
    'zzzzzz',
    'there is no zzzzzz in the lab, but there are shop/frontend-1, shop/frontend-2, shop/db-0, other/db-0, client',
  ],
])('for %s the error says what was probably meant', (name, message) => {
  expect(() => findHost(name, hosts)).toThrow(message);
});

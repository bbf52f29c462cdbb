import { expect, test } from 'vitest';
import type { Labels } from '../../src/cluster/records.ts';
import { Identities } from '../../src/policy/identities.ts';
import { PortNames } from '../../src/policy/port-names.ts';

function retained(...all: readonly Labels[]) {
  const identities = new Identities(new PortNames());
  const namespace = identities.namespace('default');
  return all.map((labels) => identities.retain(namespace, labels, []));
}

test('equal labels are one identity, in any order', () => {
  const [one, other] = retained({ app: 'web', v: '1' }, { v: '1', app: 'web' });
  expect(one).toBe(other);
});

test('labels that imitate others are another identity', () => {
  const alike: Labels[] = [
    { a: '1', b: '2' },
    { a: '11,1:2' },
    { a: '11,:2' },
    { a: '1', b: '' },
    { a: '', b: '1' },
    { b: '1' },
    {},
  ];
  expect(new Set(retained(...alike)).size).toBe(alike.length);
});

test('identities differ even if there are more label keys than are remembered', () => {
  const many = Array.from({ length: 5000 }, (_, i): Labels => ({ [`key-${i}`]: 'x' }));
  const identities = retained(...many, ...many, { 'key-4999': '', x: 'x' }, { 'key-4998': 'x', x: '' });
  expect(new Set(identities).size).toBe(many.length + 2);
  expect(identities[4999]).toBe(identities[9999]);
});

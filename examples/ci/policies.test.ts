import { compile, judge, lint, loadManifests } from 'podfence';
import { expect, test } from 'vitest';

const manifests = await loadManifests(['k8s/']);
const cluster = compile(manifests);
const verdict = (from: string, to: string, port: number) => judge(cluster, { from, to, port }).verdict;

test('only the backend reaches the database', () => {
  expect(verdict('shop/backend-1', 'shop/database-0', 5432)).toBe('allow');
  expect(verdict('shop/frontend-1', 'shop/database-0', 5432)).toBe('deny');
});

test('the policies have no mistakes', () => {
  expect(lint(manifests).findings.filter(({ severity }) => severity === 'error')).toEqual([]);
});

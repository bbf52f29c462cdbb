import { expect, test } from 'vitest';
import type { PolicyMode } from '../../src/cluster/records.ts';
import { judgeOnPaper } from '../../src/lab/paper-lab.ts';
import { denyIngress, pod } from './cluster.ts';

test('on paper a packet that enforced policies deny does not arrive, and one that audited policies deny does', () => {
  const pods = [pod('shop/web', ['10.0.0.1'], 'TCP 80'), pod('shop/db', ['10.0.0.2'], 'TCP 5432')];
  const observed = (mode: PolicyMode) => {
    const policies = [{ ...denyIngress('shop/deaf', { app: 'db' }), mode }];
    const manifests = { snapshot: { namespaces: [], pods, policies }, services: [] };
    const { results } = judgeOnPaper(manifests, undefined, []);
    for (const result of results) expect(result.observed).toBe(result.expected);
    return results.find(({ from, to }) => from === 'shop/web' && to === 'shop/db')?.observed;
  };
  expect([observed('enforce'), observed('audit')]).toEqual(['deny', 'allow']);
});

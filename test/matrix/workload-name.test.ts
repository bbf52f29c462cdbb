import { expect, test } from 'vitest';
import { workloadName } from '../../src/matrix/workload-name.ts';
import { pod } from '../policy/records.ts';

test.each([
  ['web', 'web'],
  ['web-0', 'web'],
  ['web-12', 'web'],
  ['web-6d4cf56db6-x2x7k', 'web'],
  ['kube-proxy-x2x7k', 'kube-proxy'],
  ['backup-28473600-x2x7k', 'backup'],
  ['shop-frontend', 'shop-frontend'],
  ['web-cache', 'web-cache'],
])('%s belongs to workload %s', (name, workload) => {
  expect(workloadName(pod(name, '10.0.0.1'))).toBe(workload);
});

test('a template hash is recognized by its label, whatever it looks like', () => {
  const labels = { 'pod-template-hash': 'abc' };
  expect(workloadName(pod('web-abc-x2x7k', '10.0.0.1', labels))).toBe('web');
});

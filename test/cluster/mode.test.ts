import { describe, expect, test } from 'vitest';
import { deciding, modeOf } from '../../src/cluster/mode.ts';
import { projectNamespace, projectPolicy } from '../../src/cluster/projection.ts';

const annotated = (mode: unknown) => ({
  name: 'shop',
  annotations: { 'podfence.io/mode': mode, note: 'x'.repeat(99) },
});
const namespaceOf = (mode: unknown) => projectNamespace({ metadata: annotated(mode) });
const policyOf = (mode: unknown) => projectPolicy({ metadata: annotated(mode), spec: { podSelector: {} } });

describe('the mode of a policy', () => {
  test.each([
    ['audit', 'enforce', 'audit'],
    ['enforce', 'audit', 'enforce'],
    [undefined, 'audit', 'audit'],
    [undefined, 'enforce', 'enforce'],
    [undefined, undefined, 'enforce'],
    ['audit', undefined, 'audit'],
  ] as const)('annotated %s in a namespace annotated %s is %s', (own, namespace, mode) => {
    expect(modeOf(policyOf(own).record, namespaceOf(namespace).record)).toBe(mode);
  });

  test('is enforce in an unknown namespace', () => {
    expect(modeOf({}, undefined)).toBe('enforce');
  });

  test('is all that is kept of annotations; nothing is kept without it', () => {
    for (const { record } of [namespaceOf('audit'), policyOf('audit')]) {
      expect(record).toMatchObject({ mode: 'audit' });
      expect(JSON.stringify(record)).not.toContain('xxx');
    }
    for (const { record } of [namespaceOf(undefined), policyOf(undefined)]) expect(record).not.toHaveProperty('mode');
  });

  test.each([
    ['Audit', 'Did you mean audit?'],
    ['audti', 'Did you mean audit?'],
    ['off', undefined],
    [true, undefined],
  ])('is enforce for the invalid value %j, which is a warning and no error of the policy', (value, hint) => {
    for (const { record, problems } of [namespaceOf(value), policyOf(value)]) {
      expect(record).toMatchObject({ mode: 'enforce' });
      expect(record).not.toHaveProperty('error');
      const [problem, ...others] = problems;
      expect(others).toEqual([]);
      expect(problem).toMatchObject({ path: ['metadata', 'annotations', 'podfence.io/mode'], isWarning: true });
      expect(problem?.message).toContain('modes are audit and enforce');
      expect(problem?.hint).toBe(hint);
    }
  });
});

test('enforced policies decide; audited ones decide only if there are no enforced ones', () => {
  const mode = (name: string) => (name.startsWith('audited') ? 'audit' : 'enforce');
  expect(deciding(['a', 'audited', 'b'], mode)).toEqual(['a', 'b']);
  expect(deciding(['audited', 'audited too'], mode)).toEqual(['audited', 'audited too']);
  expect(deciding([], mode)).toEqual([]);
});

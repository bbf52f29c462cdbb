import { describe, expect, it } from 'vitest';
import { apiProblems } from './api-types.ts';
import type { KubeObject } from './objects.ts';

const service = (spec: object) =>
  ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'x' }, spec }) as unknown as KubeObject;

describe('the check against the API types', () => {
  it('accepts a valid object', () => {
    expect(apiProblems(service({ ports: [{ port: 80, targetPort: 'http' }], selector: { app: 'x' } }))).toEqual([]);
  });

  it.each([
    ['an unknown field', { portz: [] }, '.spec.portz: V1ServiceSpec has no such field'],
    ['a string for a number', { ports: [{ port: '80' }] }, '.spec.ports[0].port: "80" is no number'],
    ['a number for a string', { selector: { app: 1 } }, '.spec.selector.app: 1 is no string'],
    ['an object for a list', { ports: {} }, '.spec.ports: {} is no Array<V1ServicePort>'],
    ['a missing required field', { ports: [{ name: 'a' }] }, '.spec.ports[0].port: is missing'],
  ])('finds %s', (_, spec, problem) => {
    expect(apiProblems(service(spec))).toEqual([problem]);
  });

  it('finds a kind that is not in the API', () => {
    const object = { apiVersion: 'v1', kind: 'Servise', metadata: { name: 'x' } };
    expect(apiProblems(object)).toEqual(['kind: there is no Servise in v1']);
  });
});

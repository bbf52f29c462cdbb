import { describe, expect, it } from 'vitest';
import { app, expectFinding, findingsOf, hostPod, namespace, pod, policy } from './linted.ts';

const SHOP = [pod('shop/frontend'), pod('shop/backend')];
const selecting = (name: string, more = {}) => policy(app(name), more);

describe('a policy that selects no pod', () => {
  it('is told with the labels that come closest', () =>
    expectFinding(
      'selects-no-pod',
      /^warning spec\.podSelector: no pod of shop has app=frontned: .* \| Did you mean app: frontend\? shop\/frontend has it\.$/,
      [...SHOP, selecting('frontned')],
      [...SHOP, selecting('frontend')],
    ));

  it('is told with the values there are, where none is like it', async () => {
    expect(await findingsOf('selects-no-pod', [...SHOP, selecting('worker')])).toEqual([
      'warning spec.podSelector: no pod of shop has app=worker: the policy selects nothing | Values of app there: backend, frontend.',
    ]);
  });

  it('is told with the namespace where such pods are', () =>
    expectFinding(
      'selects-no-pod',
      /shop\/frontend has\. Did you mean metadata\.namespace: shop\?$/,
      [...SHOP, selecting('frontend', { namespace: 'default' })],
      [...SHOP, selecting('frontend', { namespace: 'shop' })],
    ));

  it('is told where the namespace is nearly that of pods', () =>
    expectFinding(
      'selects-no-pod',
      'warning metadata.namespace: there are no pods in namespace "shpo" | Did you mean shop?'.replaceAll(
        /[.?|]/g,
        '\\$&',
      ),
      [...SHOP, policy({}, { namespace: 'shpo' })],
      [...SHOP, policy({}, { namespace: 'shop2' })],
    ));

  it('is told where all pods that it would select are in the network of their node', () =>
    expectFinding(
      'selects-no-pod',
      /hostNetwork/,
      [...SHOP, hostPod('shop/proxy'), selecting('proxy')],
      [...SHOP, hostPod('shop/proxy'), policy({})],
    ));

  it('is not told where the namespace may be in other manifests', async () => {
    expect(await findingsOf('selects-no-pod', [...SHOP, selecting('db', { namespace: 'data' })])).toEqual([]);
  });

  it('is not told of a policy for all pods of a namespace that is still empty', async () => {
    const empty = [...SHOP, namespace('later'), policy({}, { namespace: 'later' })];
    expect(await findingsOf('selects-no-pod', empty)).toEqual([]);
  });

  it('is only worth knowing where no pod anywhere has such a label: pods that are made at run time may have it', async () => {
    const solver = { matchLabels: { 'acme.cert-manager.io/http01-solver': 'true' } };
    const both = { matchLabels: { app: 'frontend', 'postgres-client': 'true' } };
    for (const podSelector of [solver, both]) {
      const findings = await findingsOf('selects-no-pod', [...SHOP, policy({ podSelector })]);
      expect(findings).toEqual([expect.stringMatching(/^info /)]);
    }
  });

  it('is told where one of its labels is known and has no such value, whatever the others are', async () => {
    const podSelector = { matchLabels: { app: 'worker', tier: 'jobs' } };
    expect(await findingsOf('selects-no-pod', [...SHOP, policy({ podSelector })])).toEqual([
      expect.stringMatching(/^warning /),
    ]);
  });

  it('is no more than worth knowing where an operator may make the pods', async () => {
    const operated = {
      apiVersion: 'postgresql.cnpg.io/v1',
      kind: 'Cluster',
      metadata: { name: 'db', namespace: 'shop' },
    };
    const findings = await findingsOf('selects-no-pod', [...SHOP, operated, selecting('database')]);
    expect(findings).toEqual([expect.stringMatching(/^info /)]);
  });
});

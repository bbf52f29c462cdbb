import { describe, expect, it } from 'vitest';
import { app, expectFinding, findingsOf, hostPod, namespace, pod, policy } from './linted.ts';

const SHOP = [pod('shop/frontend'), pod('shop/backend')];
const selecting = (name: string, more = {}) => policy(app(name), more);

describe('a policy that selects no pod', () => {
  it('is reported with the labels that come closest', () =>
    expectFinding(
      'selects-no-pod',
      /^warning spec\.podSelector: no pod of shop has app=frontned: .* \| Did you mean app: frontend\? shop\/frontend has it\.$/,
      [...SHOP, selecting('frontned')],
      [...SHOP, selecting('frontend')],
    ));

  it('is reported with the existing values if none is similar', async () => {
    expect(await findingsOf('selects-no-pod', [...SHOP, selecting('worker')])).toEqual([
      'warning spec.podSelector: no pod of shop has app=worker: the policy selects nothing | Values of app there: backend, frontend.',
    ]);
  });

  it('is reported with the namespace that has such pods', () =>
    expectFinding(
      'selects-no-pod',
      /shop\/frontend has\. Did you mean metadata\.namespace: shop\?$/,
      [...SHOP, selecting('frontend', { namespace: 'default' })],
      [...SHOP, selecting('frontend', { namespace: 'shop' })],
    ));

  it('is reported if its namespace resembles that of pods', () =>
    expectFinding(
      'selects-no-pod',
      'warning metadata.namespace: there are no pods in namespace "shpo" | Did you mean shop?'.replaceAll(
        /[.?|]/g,
        '\\$&',
      ),
      [...SHOP, policy({}, { namespace: 'shpo' })],
      [...SHOP, policy({}, { namespace: 'shop2' })],
    ));

  it('is reported if all pods that it would select are in the network of their node', () =>
    expectFinding(
      'selects-no-pod',
      /hostNetwork/,
      [...SHOP, hostPod('shop/proxy'), selecting('proxy')],
      [...SHOP, hostPod('shop/proxy'), policy({})],
    ));

  it('is not reported if the namespace may be in other manifests', async () => {
    expect(await findingsOf('selects-no-pod', [...SHOP, selecting('db', { namespace: 'data' })])).toEqual([]);
  });

  it('is not reported for a policy for all pods of a namespace that is still empty', async () => {
    const empty = [...SHOP, namespace('later'), policy({}, { namespace: 'later' })];
    expect(await findingsOf('selects-no-pod', empty)).toEqual([]);
  });

  it('is only an info if no pod has such a label: pods created at run time may have it', async () => {
    const solver = { matchLabels: { 'acme.cert-manager.io/http01-solver': 'true' } };
    const both = { matchLabels: { app: 'frontend', 'postgres-client': 'true' } };
    for (const podSelector of [solver, both]) {
      const findings = await findingsOf('selects-no-pod', [...SHOP, policy({ podSelector })]);
      expect(findings).toEqual([expect.stringMatching(/^info /)]);
    }
  });

  it('is reported if one of its labels is known but never has this value, whatever the others are', async () => {
    const podSelector = { matchLabels: { app: 'worker', tier: 'jobs' } };
    expect(await findingsOf('selects-no-pod', [...SHOP, policy({ podSelector })])).toEqual([
      expect.stringMatching(/^warning /),
    ]);
  });

  it('is only an info if an operator may create the pods', async () => {
    const operated = {
      apiVersion: 'postgresql.cnpg.io/v1',
      kind: 'Cluster',
      metadata: { name: 'db', namespace: 'shop' },
    };
    const findings = await findingsOf('selects-no-pod', [...SHOP, operated, selecting('database')]);
    expect(findings).toEqual([expect.stringMatching(/^info /)]);
  });
});

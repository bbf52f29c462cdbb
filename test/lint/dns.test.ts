import { describe, expect, it } from 'vitest';
import { app, expectFinding, findingsOf, inNamespace, pod, policy } from './linted.ts';

const PODS = [pod('shop/frontend'), pod('shop/backend')];
const egress = (...rules: readonly object[]) => policy({ ...app('frontend'), policyTypes: ['Egress'], egress: rules });
const TO_BACKEND = { to: [app('backend')] };
const DNS = { to: [inNamespace('kube-system')], ports: [{ port: 53, protocol: 'UDP' }, { port: 53 }] };

describe('egress isolation without DNS', () => {
  it('is reported if pods may connect to others and cannot ask for their addresses', () =>
    expectFinding(
      'egress-without-dns',
      /^warning spec\.egress: shop\/frontend may connect to others, but may not ask DNS/,
      [...PODS, egress(TO_BACKEND)],
      [...PODS, egress(TO_BACKEND, DNS)],
    ));

  it('is reported if all pods of the own namespace are allowed, because DNS is not among them', () =>
    expectFinding(
      'egress-without-dns',
      /may not ask DNS/,
      [...PODS, egress({ to: [{ podSelector: {} }] })],
      [...PODS, egress({ to: [{ podSelector: {} }] }, DNS)],
    ));

  it('is reported if only an audited policy allows it, which does not count beside an enforced one', () => {
    const dns = (mode: string) =>
      policy(
        { ...app('frontend'), policyTypes: ['Egress'], egress: [DNS] },
        { name: 'dns', annotations: { 'podfence.io/mode': mode } },
      );
    const silent = egress(TO_BACKEND);
    return Promise.all([
      expectFinding(
        'egress-without-dns',
        /frontend may connect/,
        [...PODS, silent, dns('audit')],
        [...PODS, silent, dns('enforce')],
      ),
      expectFinding('egress-without-dns', /its pods may connect/, [silent, dns('audit')], [silent, dns('enforce')]),
    ]);
  });

  it('is reported without pods too', () =>
    expectFinding('egress-without-dns', /its pods may connect/, [egress(TO_BACKEND)], [egress(TO_BACKEND, DNS)]));

  it('is reported if DNS is allowed by TCP only', () =>
    expectFinding(
      'egress-without-dns',
      /by TCP only/,
      [...PODS, egress(TO_BACKEND, { ports: [{ port: 53 }] })],
      [...PODS, egress(TO_BACKEND, { ports: [{ port: 53, protocol: 'UDP' }] })],
    ));

  it('is reported for outside addresses, which are reached by names', () =>
    expectFinding(
      'egress-without-dns',
      /may connect to others/,
      [egress({ to: [{ ipBlock: { cidr: '0.0.0.0/0' } }], ports: [{ port: 443 }] })],
      [egress({ to: [{ ipBlock: { cidr: '10.0.0.0/24' } }], ports: [{ port: 5978 }] })],
    ));

  it('is reported if another policy allows DNS to other pods only', () =>
    expectFinding(
      'egress-without-dns',
      /shop\/frontend may connect/,
      [...PODS, egress(TO_BACKEND), policy({ ...app('backend'), egress: [DNS] }, { name: 'dns' })],
      [...PODS, egress(TO_BACKEND), policy({ egress: [DNS] }, { name: 'dns' })],
    ));

  it.each([
    ['nothing is allowed at all', egress()],
    ['everything is', egress({})],
    ['every namespace is', egress({ to: [{ namespaceSelector: {} }] })],
    ['all of kube-system is', egress(TO_BACKEND, { to: [inNamespace('kube-system')] })],
    ['DNS listens on another port', egress(TO_BACKEND, { ports: [{ port: 5353, protocol: 'UDP' }] })],
    ['only ingress is isolated', policy({ ingress: [{ from: [app('backend')] }] })],
  ])('is not reported if %s', async (_, manifest) => {
    expect(await findingsOf('egress-without-dns', [...PODS, manifest])).toEqual([]);
  });

  it('is not reported without pods if any policy of the namespace allows it', async () => {
    const dns = policy({ podSelector: { matchLabels: { dns: 'yes' } }, egress: [DNS] }, { name: 'dns' });
    expect(await findingsOf('egress-without-dns', [egress(TO_BACKEND), dns])).toEqual([]);
  });
});

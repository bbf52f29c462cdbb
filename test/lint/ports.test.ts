import { describe, expect, it } from 'vitest';
import { app, expectFinding, findingsOf, inNamespace, pod, policy } from './linted.ts';

const PODS = [pod('shop/frontend', ['http 8080']), pod('shop/backend', ['api 9000', 'stats 9125/UDP'])];
const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'backend', namespace: 'shop' },
  spec: { selector: { app: 'backend' }, ports: [{ name: 'rest', port: 80, targetPort: 'api' }] },
};
const ingress = (...ports: readonly object[]) => policy({ ...app('backend'), ingress: [{ ports }] });
const EVERY_POD = { podSelector: {} };
const notIn = (name: string) => ({
  namespaceSelector: {
    matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [name] }],
  },
});
const egress = (peers: readonly object[], ...ports: readonly object[]) =>
  policy({ ...app('frontend'), policyTypes: ['Egress'], egress: [{ to: peers, ports }] });

describe('a port that no container has', () => {
  it('is only an info, because a container need not say where it listens', () =>
    expectFinding(
      'port-not-listened',
      /^info spec\.ingress\[0\]\.ports\[0\]\.port: .* has port TCP 9001; they have TCP 9000, UDP 9125$/,
      [...PODS, ingress({ port: 9001 })],
      [...PODS, ingress({ port: 9000 })],
    ));

  it.each([9900, 900])('is a hint if digits slipped: %i for 9090 or 9000', async (port) => {
    const pods = [pod('shop/backend', ['api 9000', 'stats 9090'])];
    expect(await findingsOf('port-not-listened', [...pods, ingress({ port })])).toEqual([
      expect.stringMatching(/^hint .*\| Did you mean (?:9000|9090)\?$/),
    ]);
  });

  it.each([26379, 6380, 16379])('is no typing error if %i is a neighbour of 6379', async (port) => {
    const pods = [pod('shop/backend', ['6379'])];
    expect(await findingsOf('port-not-listened', [...pods, ingress({ port })])).toEqual([
      expect.stringMatching(/^info [^|]*$/),
    ]);
  });

  it('is a warning if it is the port of the Service in front', () =>
    expectFinding(
      'port-not-listened',
      /^warning .*It is a port of Service shop\/backend \(80 to api\); policies see the port of the container/,
      [...PODS, SERVICE, ingress({ port: 80 })],
      [...PODS, SERVICE, ingress({ port: 9000 })],
    ));

  it('is a warning if the protocol is the wrong one', () =>
    expectFinding(
      'port-not-listened',
      /^warning .*Did you mean protocol: UDP\?$/,
      [...PODS, ingress({ port: 9125 })],
      [...PODS, ingress({ port: 9125, protocol: 'UDP' })],
    ));

  it('is reported for the pods that an egress rule leads to', () =>
    expectFinding(
      'port-not-listened',
      /^info spec\.egress\[0\].*that the rule matches has port TCP 8080/,
      [...PODS, egress([app('backend')], { port: 8080 })],
      [...PODS, egress([app('backend')], { port: 8080, endPort: 9000 })],
    ));

  it.each([
    ['a pod says nothing about its ports', [pod('shop/backend'), ingress({ port: 1 })]],
    [
      'addresses are allowed too',
      [...PODS, egress([app('backend'), { ipBlock: { cidr: '192.0.2.0/24' } }], { port: 1 })],
    ],
    ['any peer is', [...PODS, egress([], { port: 443 })]],
    ['a peer is not known', [...PODS, egress([app('backend'), inNamespace('elsewhere')], { port: 1 })]],
    ['it is asked by TCP what is asked by UDP first', [pod('shop/backend', ['53/UDP']), ingress({ port: 53 })]],
    ['there are no pods', [ingress({ port: 1 })]],
    ['every namespace is meant', [...PODS, egress([{ namespaceSelector: {} }], { port: 443 })]],
    ['all namespaces but one are meant', [...PODS, egress([notIn('kube-system')], { port: 443 })]],
    [
      'the system is meant',
      [...PODS, pod('kube-system/web', ['8080']), egress([inNamespace('kube-system')], { port: 1 })],
    ],
    ['all pods of the own namespace are meant', [PODS[0] ?? {}, egress([EVERY_POD], { port: 1 })]],
  ])('is not reported if %s', async (_, manifests) => {
    expect(await findingsOf('port-not-listened', manifests)).toEqual([]);
  });
});

describe('a port name that no container has', () => {
  it('is reported with the most similar name', () =>
    expectFinding(
      'unknown-named-port',
      /^warning spec\.ingress\[0\]\.ports\[0\]\.port: .* TCP port named "apii": .*Did you mean api\?$/,
      [...PODS, ingress({ port: 'apii' })],
      [...PODS, ingress({ port: 'api' })],
    ));

  it.each([
    ['every namespace', { namespaceSelector: {} }],
    ['all namespaces but one', notIn('kube-system')],
  ])('is not reported for %s, which may well have it', async (_, peer) => {
    expect(await findingsOf('unknown-named-port', [...PODS, egress([peer], { port: 'grpc' })])).toEqual([]);
  });

  it('is reported for all pods of a namespace that is known completely', async () => {
    const metrics = [...PODS, pod('metrics/prometheus', ['web 9090'])];
    const findings = await findingsOf('unknown-named-port', [
      ...metrics,
      egress([inNamespace('metrics')], { port: 'grpc' }),
    ]);
    expect(findings).toEqual([expect.stringMatching(/^warning .*Names there: web\.$/)]);
  });

  it('is reported if it belongs to the Service', () =>
    expectFinding(
      'unknown-named-port',
      /It is a port of Service shop\/backend/,
      [...PODS, SERVICE, ingress({ port: 'rest' })],
      [...PODS, SERVICE, ingress({ port: 'api' })],
    ));

  it('is reported if the protocol is the wrong one', () =>
    expectFinding(
      'unknown-named-port',
      /"stats" is a UDP port there\. Did you mean protocol: UDP\?/,
      [...PODS, ingress({ port: 'stats' })],
      [...PODS, ingress({ port: 'stats', protocol: 'UDP' })],
    ));

  it('is looked up on the pods that an egress rule leads to', () =>
    expectFinding(
      'unknown-named-port',
      /that the rule matches has a TCP port named "http"/,
      [...PODS, egress([app('backend')], { port: 'http' })],
      [...PODS, egress([app('frontend')], { port: 'http' })],
    ));
});

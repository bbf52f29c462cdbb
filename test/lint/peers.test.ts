import { describe, expect, it } from 'vitest';
import { app, expectFinding, findingsOf, hostPod, inNamespace, namespace, pod, policy } from './linted.ts';

const SHOP = [pod('shop/frontend'), pod('shop/backend')];
const METRICS = [namespace('metrics', { team: 'platform' }), pod('metrics/prometheus'), pod('metrics/alertmanager')];
const CLUSTER = [...SHOP, ...METRICS];
const from = (...peers: readonly object[]) => policy({ ...app('backend'), ingress: [{ from: peers }] });
const team = (name: string) => ({ namespaceSelector: { matchLabels: { team: name } } });

describe('a peer that matches no pod', () => {
  it('is reported with the labels that come closest', () =>
    expectFinding(
      'peer-matches-nothing',
      /^warning spec\.ingress\[0\]\.from\[0\]\.podSelector: no pod of shop has app=frontned \| Did you mean app: frontend\? shop\/frontend has it\.$/,
      [...SHOP, from(app('frontned'))],
      [...SHOP, from(app('frontend'))],
    ));

  it('is reported with the key that has this value', () =>
    expectFinding(
      'peer-matches-nothing',
      /Did you mean app: frontend\?/,
      [...SHOP, from({ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'frontend' } } })],
      [...SHOP, from(app('frontend'))],
    ));

  it('is reported with the namespace that has such pods', () =>
    expectFinding(
      'peer-matches-nothing',
      /metrics\/prometheus has; a podSelector alone looks in the policy's own namespace\. .*metadata\.name: metrics/,
      [...CLUSTER, from(app('prometheus'))],
      [...CLUSTER, from({ ...inNamespace('metrics'), ...app('prometheus') })],
    ));

  it('is reported if each selector of a peer matches pods, but no pod matches both', () =>
    expectFinding(
      'peer-matches-nothing',
      /^warning .*: no pod of metrics has app=frontend/,
      [...CLUSTER, from({ ...team('platform'), ...app('frontend') })],
      [...CLUSTER, from({ ...team('platform'), ...app('alertmanager') })],
    ));

  it('is reported for the DNS pods, which are in kube-system, even without any pods', () =>
    expectFinding(
      'peer-matches-nothing',
      /The DNS pods are in kube-system/,
      [policy({ egress: [{ to: [{ podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }] }] })],
      [
        policy({
          egress: [
            { to: [{ ...inNamespace('kube-system'), podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }] },
          ],
        }),
      ],
    ));

  it('is reported if only a pod in the network of its node matches', async () => {
    const manifests = [...SHOP, hostPod('shop/proxy'), from(app('proxy'))];
    expect(await findingsOf('peer-matches-nothing', manifests)).toEqual([expect.stringMatching(/hostNetwork/)]);
  });

  it('is reported if only a pod in the network of its node matches in another namespace', async () => {
    const manifests = [...SHOP, hostPod('ingress/proxy'), from({ ...inNamespace('ingress'), ...app('proxy') })];
    expect(await findingsOf('peer-matches-nothing', manifests)).toEqual([
      expect.stringMatching(
        /^warning .*podSelector: no pod of ingress has app=proxy \| ingress\/proxy has, .*hostNetwork/,
      ),
    ]);
  });

  it('is reported if all pods of another namespace are in the network of their node', async () => {
    const manifests = (...names: readonly string[]) => [
      ...SHOP,
      ...names.map(hostPod),
      from(inNamespace(names[0]?.split('/')[0] ?? '')),
    ];
    expect(await findingsOf('peer-matches-nothing', manifests('ingress/proxy'))).toEqual([
      expect.stringMatching(/^warning .*namespaceSelector: .*hostNetwork.*: ingress\/proxy$/),
    ]);
    expect(await findingsOf('peer-matches-nothing', manifests('kube-system/kube-proxy'))).toEqual([
      expect.stringMatching(/^info /),
    ]);
    expect(await findingsOf('peer-matches-nothing', [...manifests('ingress/proxy'), pod('ingress/web')])).toEqual([]);
  });

  it('is only an info for a label that no pod has: other pods may opt in by it', async () => {
    const peer = { podSelector: { matchLabels: { 'redis-client': 'true' } } };
    const client = pod('metrics/web', [], { labels: { app: 'web', 'redis-client': 'false' } });
    const severity = async (...more: readonly object[]) => {
      const findings = await findingsOf('peer-matches-nothing', [
        ...SHOP,
        ...more.map((each) => ({ ...each })),
        from(peer),
      ]);
      return findings.map((text) => text.split(' ')[0]);
    };
    expect([await severity(), await severity(client)]).toEqual([['info'], ['warning']]);
  });

  it('is reported for a key that resembles another one, whatever its value', async () => {
    const client = pod('shop/web', [], { labels: { app: 'web', 'redis-client': 'true' } });
    const peer = { podSelector: { matchLabels: { 'redis-cleint': 'true' } } };
    expect(await findingsOf('peer-matches-nothing', [client, from(peer)])).toEqual([
      expect.stringMatching(/^warning .*Did you mean redis-client: true\? shop\/web has it\.$/),
    ]);
  });

  it('is only an info if some namespaces that it leads to are unknown', async () => {
    const some = [...CLUSTER, namespace('logs', { team: 'platform' })];
    expect(
      await findingsOf('peer-matches-nothing', [...some, from({ ...team('platform'), ...app('checkout') })]),
    ).toEqual([expect.stringMatching(/^info /)]);
  });

  it('is only an info if the manifests contain one service, whose peers are elsewhere', async () => {
    const findings = await findingsOf('peer-matches-nothing', [pod('shop/backend'), from(app('checkout'))]);
    expect(findings).toEqual([expect.stringMatching(/^info /)]);
  });

  it('is only an info for the system namespaces, which contain more than manifests show', async () => {
    const system = [...SHOP, pod('kube-system/metrics-server')];
    const peer = { ...inNamespace('kube-system'), podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } };
    expect(await findingsOf('peer-matches-nothing', [...system, from(peer)])).toEqual([
      expect.stringMatching(/^info /),
    ]);
  });

  it('is only an info if an operator may make more pods', async () => {
    const rollout = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', metadata: { name: 'r', namespace: 'shop' } };
    const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', namespace: 'shop' } };
    const severity = async (other: object) => {
      const findings = await findingsOf('peer-matches-nothing', [...SHOP, { ...other }, from(app('checkout'))]);
      return findings.map((text) => text.split(' ')[0]);
    };
    expect([await severity(rollout), await severity(config)]).toEqual([['info'], ['warning']]);
  });

  it('is not explained by a value that many labels have', async () => {
    const labelled = pod('shop/web', [], { labels: { app: 'web', monitored: 'true' } });
    const peer = { podSelector: { matchLabels: { 'may-ask': 'true' } } };
    expect(await findingsOf('peer-matches-nothing', [...SHOP, labelled, from(peer)])).toEqual([
      'info spec.ingress[0].from[0].podSelector: no pod of shop has may-ask=true',
    ]);
  });

  it('is not reported for namespaces whose pods are not in the manifests', async () => {
    const peer = { ...inNamespace('kube-system'), podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } };
    expect(await findingsOf('peer-matches-nothing', [...SHOP, namespace('kube-system'), from(peer)])).toEqual([]);
  });
});

describe('a peer that matches no namespace', () => {
  it('is reported if the namespace is misspelt', () =>
    expectFinding(
      'peer-matches-nothing',
      /^warning .*namespaceSelector: .*Did you mean kubernetes\.io\/metadata\.name: metrics\?/,
      [...CLUSTER, from(inNamespace('metrcis'))],
      [...CLUSTER, from(inNamespace('metrics'))],
    ));

  it('is reported if it asks for a label that only looks like the name', () =>
    expectFinding(
      'peer-matches-nothing',
      /Did you mean kubernetes\.io\/metadata\.name: metrics\?/,
      [...CLUSTER, from({ namespaceSelector: { matchLabels: { name: 'metrics' } } })],
      [...CLUSTER, from(team('platform'))],
    ));

  it('is reported with the values that the label has elsewhere', async () => {
    expect(await findingsOf('peer-matches-nothing', [...CLUSTER, from(team('finance'))])).toEqual([
      'warning spec.ingress[0].from[0].namespaceSelector: no namespace has team=finance | Values of team there: platform.',
    ]);
  });

  it('is only an info for a namespace that other manifests may contain', async () => {
    for (const peer of [inNamespace('ingress-nginx'), { namespaceSelector: { matchLabels: { ingress: 'yes' } } }]) {
      const findings = await findingsOf('peer-matches-nothing', [...CLUSTER, from(peer)]);
      expect(findings).toEqual([expect.stringMatching(/^info /)]);
    }
  });

  it('is only an info if only the own namespace has such a label', async () => {
    const own = [...SHOP, namespace('shop', { team: 'retail' }), from(team('platform'))];
    expect(await findingsOf('peer-matches-nothing', own)).toEqual([expect.stringMatching(/^info /)]);
  });
});

describe('two peers that were meant as one', () => {
  it('are reported if the pods are in the namespaces of the other peer', () =>
    expectFinding(
      'or-instead-of-and',
      /^warning spec\.ingress\[0\]\.from\[1\]: .*no pod of shop has these labels, but metrics\/prometheus has/,
      [...CLUSTER, from(team('platform'), app('prometheus'))],
      [...CLUSTER, from({ ...team('platform'), ...app('prometheus') })],
    ));

  it('are not reported again as a peer that matches nothing', async () => {
    const findings = await findingsOf('peer-matches-nothing', [...CLUSTER, from(team('platform'), app('prometheus'))]);
    expect(findings).toEqual([]);
  });

  it('are reported if one of them allows everything that the other does', () =>
    expectFinding(
      'or-instead-of-and',
      /the second selector has no effect beside the first/,
      [from(app('frontend'), { namespaceSelector: {} })],
      [from({ ...app('frontend'), namespaceSelector: {} })],
    ));

  it('are reported for the DNS pods', () =>
    expectFinding(
      'or-instead-of-and',
      /the DNS pods are not in shop/,
      [
        policy({
          egress: [{ to: [inNamespace('kube-system'), { podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }] }],
        }),
      ],
      [
        policy({
          egress: [
            { to: [{ ...inNamespace('kube-system'), podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }] },
          ],
        }),
      ],
    ));

  it('are not reported if both match pods, as in the Kubernetes documentation', async () => {
    const documented = from(
      { ipBlock: { cidr: '172.17.0.0/16', except: ['172.17.1.0/24'] } },
      { namespaceSelector: { matchLabels: { project: 'myproject' } } },
      app('frontend'),
    );
    for (const manifests of [[documented], [...CLUSTER, documented]]) {
      expect(await findingsOf('or-instead-of-and', manifests)).toEqual([]);
    }
  });
});

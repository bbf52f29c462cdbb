import { expect, test } from 'vitest';
import { FlowExplainer } from '../../src/agent/flow-explainer.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { policyFor, snapshotWith } from '../explain/cluster.ts';
import { pod, set } from '../policy/records.ts';

const node = { name: 'node-2', addresses: ['10.9.0.2'] };
const dns = pod('kube-system/dns', '10.0.9.9', { 'k8s-app': 'kube-dns' });
const policies = [
  policyFor('backend', 'backend', { ingress: [] }),
  policyFor('frontend', 'frontend', { egress: [] }),
  policyFor(
    'x',
    'far',
    { ingress: [] },
    { namespace: 'kube-system', podSelector: { matchLabels: {}, matchExpressions: [] } },
  ),
];
const host = pod('kube-system/proxy', '10.9.0.4', {}, { hostNetwork: true, nodeName: 'node-4' });
const snapshot = snapshotWith(policies, [dns, host]);

function explainer(inForce = policies): FlowExplainer {
  const compiler = new PolicyCompiler(node);
  compiler.apply(set(...snapshot.namespaces, ...snapshot.pods, ...inForce));
  const { table } = compiler.compile();
  return new FlowExplainer({ node, snapshot: () => snapshot, table: () => table });
}

function ask(from: string, to: string, asked = explainer()) {
  const explained = asked.explain({ from, to, port: '80' });
  return explained.outcome === 'answer' ? explained.answer : explained;
}

test('both directions are explained, also that of a pod on another node', () => {
  expect(ask('frontend-1', '10.0.0.2')).toMatchObject({
    to: 'app1/backend-1',
    ways: [{ egress: 'deny', ingress: 'deny', sides: { egress: { isolatedBy: [{ policy: 'app1/frontend' }] } } }],
  });
});

test('a pod of this node is judged by the table in force', () => {
  expect(ask('app2/stranger', 'app1/backend-1', explainer([]))).toMatchObject({ verdict: 'allow' });
});

test('namespaces of ends that are given as addresses, and name servers, are looked at too', () => {
  expect(ask('203.0.113.1', '10.0.9.9')).toMatchObject({ verdict: 'deny', to: 'kube-system/dns' });
  const { ways } = ask('app1/frontend-1', '203.0.113.1') as Extract<ReturnType<typeof ask>, { ways: unknown }>;
  expect(ways[0]?.notes.join()).toContain('kube-system/dns');
});

test('what is said of an address that nobody here has says that it may be a Service', () => {
  const note = (to: string) => {
    const { ways } = ask('app1/backend-1', to) as Extract<ReturnType<typeof ask>, { ways: unknown }>;
    return ways[0]?.notes.find((each) => each.includes('Service')) ?? '';
  };
  expect(note('10.96.0.10')).toBe(
    "No pod and no node has the address 10.96.0.10. If it is a Service's, its translation is not known here, and this is not what packets to it meet: ask for a pod behind it, or explain with --kubeconfig.",
  );
  expect([note('app1/frontend-1'), note('10.9.0.4'), note('10.9.0.2')]).toEqual(['', '', '']);
});

test('a Service that comes with the question has its backends among the pods that the agent knows', () => {
  const service = {
    metadata: { namespace: 'app1', name: 'web' },
    spec: { selector: { role: 'backend' }, clusterIPs: ['10.96.0.10'], ports: [{ port: 80, targetPort: 'api' }] },
  };
  const about = (to: string, text = JSON.stringify(service)) =>
    explainer().explain({ from: '1.1.1.1', to, port: '80', service: text });
  const answer = { to: 'service/app1/web', verdict: 'deny', ways: [{ to: { name: 'backend-1' }, port: 5678 }] };
  expect(about('service/app1/web')).toMatchObject({ outcome: 'answer', answer });
  expect(about('app1/web')).toMatchObject({ outcome: 'answer', answer });
  const mistake = { outcome: 'mistake', message: expect.stringMatching(/^service: /) };
  expect(about('app1/web', '{')).toMatchObject(mistake);
  expect(about('app1/web', '{"metadata":{"name":"a"},"spec":{"selector":[1]}}')).toMatchObject(mistake);
});

test('this node and others are known by their addresses', () => {
  expect(ask('10.9.0.2', 'app1/backend-1')).toMatchObject({ from: 'node node-2', ways: [{ reason: 'local-node' }] });
  expect(ask('10.9.0.4', 'app1/backend-1')).toMatchObject({ from: 'node node-4', verdict: 'deny' });
  expect(ask('app1/backend-1', '10.9.0.4')).toMatchObject({ to: 'node node-4', verdict: 'allow' });
});

test('a name that is not known gets a hint from its namespace', () => {
  expect(ask('app1/frontnd-1', '10.0.0.2')).toMatchObject({
    outcome: 'mistake',
    message: expect.stringContaining('Did you mean app1/frontend-1?'),
  });
});

test('before policies are in force there is no answer', () => {
  const early = new FlowExplainer({ node, snapshot: () => snapshot, table: () => undefined });
  expect(early.explain({ from: '1.1.1.1', to: '1.1.1.2', port: '1' })).toMatchObject({ outcome: 'not-ready' });
});

test('an agent that audits everything says what would be denied, on other nodes too', () => {
  const compiler = new PolicyCompiler(node, { mode: 'audit' });
  compiler.apply(set(...snapshot.namespaces, ...snapshot.pods, ...policies));
  const { table } = compiler.compile();
  const auditing = new FlowExplainer({ node, mode: 'audit', snapshot: () => snapshot, table: () => table });
  expect(ask('frontend-1', '10.0.0.2', auditing)).toMatchObject({
    verdict: 'would_deny',
    ways: [{ egress: 'would_deny', ingress: 'would_deny', sides: { ingress: { audited: true } } }],
  });
});

import { afterAll, expect, test } from 'vitest';
import { FlowExplainer, type FlowExplainerOptions } from '../../src/agent/flow-explainer.ts';
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

let usual: FlowExplainer | undefined;

/** Most tests share one, because starting a thread takes a while. */
function explainer(inForce = policies): FlowExplainer {
  if (inForce === policies && usual !== undefined) return usual;
  const compiler = new PolicyCompiler(node.name);
  compiler.apply(set(...snapshot.namespaces, ...snapshot.pods, ...inForce));
  const { table } = compiler.compile();
  const explainer = made({ node, snapshot: () => snapshot, table: () => table });
  if (inForce === policies) usual = explainer;
  return explainer;
}

const explainers: FlowExplainer[] = [];
afterAll(async () => {
  for (const each of explainers.splice(0)) await each.stop();
});

function made(options: FlowExplainerOptions): FlowExplainer {
  // Just starting the thread may take seconds on a busy machine.
  const explainer = new FlowExplainer({ patience: 60_000, ...options });
  explainers.push(explainer);
  return explainer;
}

async function ask(from: string, to: string, asked = explainer()) {
  const explained = await asked.explain({ from, to, port: '80' });
  return explained.outcome === 'answer' ? explained.answer : explained;
}

test('both directions are explained, even that of a pod on another node', async () => {
  expect(await ask('frontend-1', '10.0.0.2')).toMatchObject({
    to: 'app1/backend-1',
    ways: [{ egress: 'deny', ingress: 'deny', sides: { egress: { isolatedBy: [{ policy: 'app1/frontend' }] } } }],
  });
});

test('a pod of this node is judged by the table in force', async () => {
  expect(await ask('app2/stranger', 'app1/backend-1', explainer([]))).toMatchObject({ verdict: 'allow' });
});

test('namespaces of ends that are given as addresses are examined too, and so are name servers', async () => {
  expect(await ask('203.0.113.1', '10.0.9.9')).toMatchObject({ verdict: 'deny', to: 'kube-system/dns' });
  const { ways } = (await ask('app1/frontend-1', '203.0.113.1')) as Extract<
    Awaited<ReturnType<typeof ask>>,
    { ways: unknown }
  >;
  expect(ways[0]?.notes.join()).toContain('kube-system/dns');
});

test('an address that no pod and no node has gets a note that it may be a Service', async () => {
  const note = async (to: string) => {
    const { ways } = (await ask('app1/backend-1', to)) as Extract<Awaited<ReturnType<typeof ask>>, { ways: unknown }>;
    return ways[0]?.notes.find((each) => each.includes('Service')) ?? '';
  };
  expect(await note('10.96.0.10')).toBe(
    "No pod and no node has the address 10.96.0.10. If it is a Service's, its translation is not known here, and this answer does not hold for packets to it: ask for a pod behind it, or explain with --kubeconfig.",
  );
  for (const known of ['app1/frontend-1', '10.9.0.4', '10.9.0.2']) expect(await note(known)).toBe('');
});

test('a Service that comes with the question has its backends among the pods that the agent knows', async () => {
  const service = {
    metadata: { namespace: 'app1', name: 'web' },
    spec: { selector: { role: 'backend' }, clusterIPs: ['10.96.0.10'], ports: [{ port: 80, targetPort: 'api' }] },
  };
  const about = (to: string, text = JSON.stringify(service)) =>
    explainer().explain({ from: '1.1.1.1', to, port: '80', service: text });
  const answer = { to: 'service/app1/web', verdict: 'deny', ways: [{ to: { name: 'backend-1' }, port: 5678 }] };
  expect(await about('service/app1/web')).toMatchObject({ outcome: 'answer', answer });
  expect(await about('app1/web')).toMatchObject({ outcome: 'answer', answer });
  const mistake = { outcome: 'mistake', message: expect.stringMatching(/^service: /) };
  expect(await about('app1/web', '{')).toMatchObject(mistake);
  expect(await about('app1/web', '{"metadata":{"name":"a"},"spec":{"selector":[1]}}')).toMatchObject(mistake);
});

test('this node and others are recognised by their addresses', async () => {
  expect(await ask('10.9.0.2', 'app1/backend-1')).toMatchObject({
    from: 'node node-2',
    ways: [{ reason: 'local-node' }],
  });
  expect(await ask('10.9.0.4', 'app1/backend-1')).toMatchObject({ from: 'node node-4', verdict: 'deny' });
  expect(await ask('app1/backend-1', '10.9.0.4')).toMatchObject({ to: 'node node-4', verdict: 'allow' });
});

test('an unknown name gets a hint from its namespace', async () => {
  expect(await ask('app1/frontnd-1', '10.0.0.2')).toMatchObject({
    outcome: 'mistake',
    message: expect.stringContaining('Did you mean app1/frontend-1?'),
  });
});

test('before policies are in force there is no answer', async () => {
  const early = made({ node, snapshot: () => snapshot, table: () => undefined });
  expect(await early.explain({ from: '1.1.1.1', to: '1.1.1.2', port: '1' })).toMatchObject({ outcome: 'not-ready' });
});

test('an agent that audits everything says what would be denied, on other nodes too', async () => {
  const compiler = new PolicyCompiler(node.name, { mode: 'audit' });
  compiler.apply(set(...snapshot.namespaces, ...snapshot.pods, ...policies));
  const { table } = compiler.compile();
  const auditing = made({ node, mode: 'audit', snapshot: () => snapshot, table: () => table });
  expect(await ask('frontend-1', '10.0.0.2', auditing)).toMatchObject({
    verdict: 'would_deny',
    ways: [{ egress: 'would_deny', ingress: 'would_deny', sides: { ingress: { audited: true } } }],
  });
});

const QUESTION = { from: 'frontend-1', to: '10.0.0.2', port: '80' };

/** An explainer whose thread never answers. */
function slow(patience: number): FlowExplainer {
  const compiler = new PolicyCompiler(node.name);
  compiler.apply(set(...snapshot.namespaces));
  const { table } = compiler.compile();
  const program = new URL('data:text/javascript,for(;;);');
  return made({ node, snapshot: () => snapshot, table: () => table, patience, program });
}

test('a question that takes too long is given up, says so, and the next one is answered', async () => {
  let turns = 0;
  const counting = setInterval(() => turns++, 10);
  const givenUp = { outcome: 'not-ready', message: expect.stringContaining('was given up') };
  const hopeless = slow(300);
  expect(await hopeless.explain(QUESTION)).toMatchObject(givenUp);
  clearInterval(counting);
  // The main thread kept running meanwhile.
  expect(turns).toBeGreaterThan(0);
  expect(await ask('frontend-1', '10.0.0.2')).toMatchObject({ verdict: 'deny' });
});

test('a running question, and those queued behind it, end when the agent stops', async () => {
  const hopeless = slow(60_000);
  const asked = [hopeless.explain(QUESTION), hopeless.explain(QUESTION)];
  await new Promise((resolve) => setTimeout(resolve, 100));
  await hopeless.stop();
  expect(await Promise.all(asked)).toMatchObject([{ outcome: 'not-ready' }, { outcome: 'not-ready' }]);
});

test('an aborted question is not answered', async () => {
  const aborted = AbortSignal.abort();
  expect(await explainer().explain(QUESTION, aborted)).toEqual({ outcome: 'not-ready', message: 'too late' });
});

test('questions queued behind a long one end after the same time, and say so', async () => {
  const asked = slow(300);
  const [, second] = await Promise.all([asked.explain(QUESTION), asked.explain(QUESTION)]);
  expect(second).toMatchObject({ outcome: 'not-ready', message: expect.stringContaining('waited behind others') });
});

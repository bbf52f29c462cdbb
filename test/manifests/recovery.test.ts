import { describe, expect, it } from 'vitest';
import { isEmptySelector, matchesSelector } from '../../src/cluster/selector.ts';
import { formatProblem } from '../../src/manifests/problems.ts';
import { load } from './manifest-files.ts';

const HEAD = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: db\n  namespace: shop\n';
// toMatchObject accepts any map for an empty map.
const EVERY_POD = expect.toSatisfy(isEmptySelector);

/** Returns the only policy of a text that does not parse. */
async function recovered(text: string) {
  const { snapshot, problems } = await load(text);
  expect(problems.length).toBeGreaterThan(0);
  expect(snapshot.policies).toHaveLength(1);
  expect(snapshot.policies[0]).toMatchObject({ ingress: [], egress: [], error: expect.any(String) });
  return snapshot.policies[0];
}

describe('a policy that does not parse fails closed', () => {
  it('for its own pods and directions, if both come before the error', async () => {
    const text = `${HEAD}spec:\n  podSelector: {matchLabels: {app: db}}\n  policyTypes: [Egress]\n  egress:\n\t- {}\n`;
    expect(await recovered(text)).toMatchObject({
      namespace: 'shop',
      name: 'db',
      podSelector: { matchLabels: { app: 'db' }, matchExpressions: [] },
      isolates: ['egress'],
    });
  });

  it.each<[string, string]>([
    [
      'its selector may go on',
      'spec:\n  podSelector:\n    matchExpressions:\n    - {key: app, operator: In, values: [db]}\n   - x\n',
    ],
    ['its selector is in the error', 'spec:\n  podSelector: {matchLabels: {app: db\n  policyTypes: [Ingress]\n'],
    ['its selector comes after the error', 'spec:\n  ingress:\n\t- {}\n  podSelector: {matchLabels: {app: db}}\n'],
    [
      'its selector is there twice',
      'spec:\n  podSelector: {matchLabels: {app: a}}\n  policyTypes: [Ingress]\n  podSelector: {matchLabels: {app: b}}\n',
    ],
    [
      'its selector uses an alias',
      'x: &a db\nspec:\n  podSelector: {matchLabels: {app: *a}}\n  ingress: []\n  egress: a: b\n',
    ],
    [
      'its selector is wrong besides',
      'spec:\n  podSelector: {matchLabels: {app: true}}\n  ingress: []\n  egress: a: b\n',
    ],
  ])('for every pod of its namespace, if %s', async (_, spec) => {
    expect(await recovered(HEAD + spec)).toMatchObject({
      namespace: 'shop',
      podSelector: EVERY_POD,
      isolates: ['ingress', 'egress'],
    });
  });

  it.each<[string, string]>([
    [
      'they come after the error',
      'spec:\n  podSelector: {matchLabels: {app: db}}\n  ingress: a: b\n  policyTypes: [Ingress]\n',
    ],
    ['they may go on', 'spec:\n  podSelector: {matchLabels: {app: db}}\n  policyTypes:\n    - Ingress\n   - Egress\n'],
  ])('both ways, if %s', async (_, spec) => {
    expect(await recovered(HEAD + spec)).toMatchObject({
      podSelector: { matchLabels: { app: 'db' } },
      isolates: ['ingress', 'egress'],
    });
  });

  it('in JSON too', async () => {
    const spec = '"spec": {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Egress"], "egress": [{},]}';
    const text = `{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "db"}, ${spec.replace(',]', ' "x"]')}}`;
    expect(await recovered(text)).toMatchObject({
      namespace: 'default',
      podSelector: { matchLabels: { app: 'db' } },
      isolates: ['egress'],
    });
  });

  it('in a List, and the broken item does not widen the ones before it', async () => {
    const item = (name: string, ports: string) =>
      `- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata: {name: ${name}, namespace: shop}\n  spec:\n    podSelector: {matchLabels: {app: ${name}}}\n    policyTypes: [Ingress]\n    ingress: ${ports}\n`;
    const { snapshot, problems } = await load(
      `apiVersion: v1\nkind: List\nitems:\n${item('a', '[]')}${item('b', 'x: y')}`,
    );
    expect(
      snapshot.policies.map(({ name, podSelector, isolates }) => [name, podSelector.matchLabels, isolates]),
    ).toEqual([
      ['a', { app: 'a' }, ['ingress']],
      ['b', { app: 'b' }, ['ingress']],
    ]);
    expect(problems.map(({ object }) => object)).toEqual(['NetworkPolicy shop/a', 'NetworkPolicy shop/b', '']);
  });

  it('and reports it, with the place of the error', async () => {
    const { problems, policyLocations } = await load(
      `---\n${HEAD}spec:\n  podSelector: {}\n  policyTypes: [Ingress]\n  ingress:\n\t- {}\n`,
    );
    expect(problems.map(formatProblem)).toEqual([
      '<stdin>:11:1  NetworkPolicy shop/db  a tab indents this line; YAML allows spaces only. Indent with spaces.\n' +
        '    The policy fails closed: every pod of namespace shop stays isolated for ingress, and it allows nothing.',
    ]);
    expect(policyLocations.get('shop/db')).toEqual({ file: '-', line: 2 });
  });

  it('even if its metadata is in the error: a namespace that may be wrong is better than no isolation', async () => {
    const text =
      'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n\tname: db\n\tnamespace: shop\nspec: {}\n';
    expect(await recovered(text)).toMatchObject({
      namespace: 'shop',
      podSelector: EVERY_POD,
      isolates: ['ingress', 'egress'],
    });
  });

  it('in the default namespace if its text mentions none', async () => {
    const text = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n\tname: db\nspec: {}\n';
    expect(await recovered(text)).toMatchObject({ namespace: 'default', podSelector: EVERY_POD });
  });

  it('but not if its namespace cannot be read, which is reported', async () => {
    const text =
      'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: {x: y}, a: b: c}\nspec: {}\n';
    const { snapshot, problems } = await load(text);
    expect(snapshot.policies).toEqual([]);
    expect(problems.map(({ message }) => message)).toContain(
      'this looks like a NetworkPolicy, but its namespace cannot be read: it isolates no pod',
    );
  });

  it('while other kinds in a broken document are lost', async () => {
    const { snapshot } = await load('apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n\tx: 1\n');
    expect(snapshot.pods).toEqual([]);
  });
});

it('wherever a character slips in, an unparsable policy isolates no fewer pods than before', async () => {
  const text = `${HEAD}spec:\n  podSelector:\n    matchExpressions:\n      - key: app\n        operator: In\n        values:\n          - a\n          - b\n  policyTypes:\n    - Egress\n    - Ingress\n  ingress:\n    - {}\n`;
  const documents: string[] = [];
  for (let offset = HEAD.length; offset < text.length; offset++) {
    for (const slip of ['\t', '"', "'", '[', '{', '}', ': ', '- ', ' ', '\n', '@']) {
      documents.push(text.slice(0, offset) + slip + text.slice(offset));
    }
  }
  let broken = 0;
  for (const document of documents) {
    const { snapshot, problems } = await load(document);
    const [policy] = snapshot.policies;
    if (problems.length === 0) continue;
    broken++;
    expect(policy, document).toBeDefined();
    if (policy === undefined || policy.error?.startsWith('spec')) continue;
    expect(
      matchesSelector(policy.podSelector, { app: 'a' }) && matchesSelector(policy.podSelector, { app: 'b' }),
      document,
    ).toBe(true);
    expect(policy.isolates, document).toEqual(['ingress', 'egress']);
  }
  expect(broken).toBeGreaterThan(documents.length / 3);
});

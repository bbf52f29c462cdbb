import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { costlyPolicy } from './costly-policy.ts';
import { manifestFolder, podfence } from './podfence.ts';

const SHOP = fileURLToPath(new URL('../../examples/three-tier', import.meta.url));

/**
 * The previous policy: it also lets the frontend reach the backend's metrics, and keeps the world
 * from the frontend.
 */
const BEFORE = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: backend, namespace: shop }
spec:
  podSelector: { matchLabels: { app: backend } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: stranger } } }, { namespaceSelector: {} }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: frontend, namespace: shop }
spec:
  podSelector: { matchLabels: { app: frontend } }
`;

describe('podfence matrix', () => {
  test('draws who can reach whom, replicas in one row', async () => {
    const { code, stdout, stderr } = await podfence(['matrix', '-m', SHOP]);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/3 backend ×2 +·· +●●· +·· ● · +· ·\n/);
    expect(stdout).toMatch(/5 frontend-1 +·· +●●· +●· · +· ·\n/);
    expect(stdout).toContain('  3: a TCP 9000 (Service shop/backend:80), b TCP 9090\n');
    expect(code).toBe(0);
  });

  test('shows a large cluster by namespace, and every pod on demand', async () => {
    const pods = Array.from(
      { length: 70 },
      (_, i) =>
        `apiVersion: v1\nkind: Pod\nmetadata: { name: pod-${'abcdefghij'[i % 10]}${'abcdefghij'[Math.floor(i / 10)]}, namespace: ns-${i % 3} }\nspec: { containers: [{ name: c, image: x, ports: [{ containerPort: 80 }] }] }\n`,
    ).join('---\n');
    const { stdout } = await podfence(['matrix', '-m', '-'], pods);
    expect(stdout).toMatch(/^ +3 ns-2 +● ● ● ●$/m);
    expect(stdout).toContain('--full');
    expect((await podfence(['matrix', '-m', '-', '--full'], pods)).stdout).toMatch(/^ +24 pod-jg /m);
  });

  test('says that ipBlocks are compared with made-up addresses, unless none divides the pod range', async () => {
    const text = `
apiVersion: v1
kind: Pod
metadata: { name: a }
spec: { containers: [{ name: c }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p }
spec: { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/9 } }] }] }
`;
    const { stderr } = await podfence(['matrix', '-m', '-'], text);
    expect(stderr).toMatch(/^Note: the manifests do not give the addresses of pods, .* ipBlocks match them/);
    expect((await podfence(['matrix', '-m', '-', '--pod-range', '10.42.0.0/16'], text)).stderr).toBe('');
  });

  test('prints JSON of the documented shape', async () => {
    const { code, stdout } = await podfence(['matrix', '-m', SHOP, '--json', '-e', 'office=192.0.2.7']);
    const { ends, cells, notes, ...rest } = JSON.parse(stdout) as Record<string, unknown[]>;
    expect(ends).toContainEqual({
      kind: 'pods',
      name: 'shop/backend',
      namespace: 'shop',
      pods: ['shop/backend-1', 'shop/backend-2'],
      ports: [
        { port: 9000, protocol: 'TCP', name: 'api', services: ['shop/backend:80'] },
        { port: 9090, protocol: 'TCP', name: 'metrics' },
      ],
    });
    expect(cells).toContainEqual({
      from: 'office',
      to: 'shop/frontend-1',
      port: 8080,
      protocol: 'TCP',
      verdict: 'allow',
      egress: 'allow',
      ingress: 'allow',
      reason: 'allowed-by-policy',
    });
    expect(notes).toEqual([]);
    expect(rest).toEqual({});
    expect(code).toBe(0);
  });

  test('shows what a change of policies opened and closed', async () => {
    using before = manifestFolder(BEFORE);
    const { stdout } = await podfence(['matrix', '-m', SHOP, '--diff', before.path]);
    expect(stdout).toMatch(/^opened {2}192\.0\.2\.0\/24 -> shop\/frontend-1:8080\/tcp$/m);
    expect(stdout).toMatch(/^closed {2}elsewhere\/stranger -> shop\/backend:9090\/tcp$/m);
    expect(stdout).toMatch(/^1 opened, \d+ closed, of \d+ ways$/m);
    const { cells } = JSON.parse((await podfence(['matrix', '-m', SHOP, '--diff', before.path, '--json'])).stdout);
    expect(cells).toContainEqual(
      expect.objectContaining({
        from: 'elsewhere/stranger',
        port: 9090,
        verdict: 'deny',
        before: 'allow',
        change: 'closed',
      }),
    );
  });

  test('shows what a change opened on ports that no pod declares', async () => {
    const open = BEFORE.replace(
      'metadata: { name: frontend, namespace: shop }',
      'metadata: { name: database, namespace: shop }',
    ).replace('app: frontend } }\n', 'app: database } }\n  ingress: [{ ports: [{ port: 22 }] }]\n');
    using now = manifestFolder(open);
    const { stdout } = await podfence(['matrix', '-m', SHOP, '-m', now.path, '--diff', SHOP]);
    expect(stdout).toMatch(/^opened {2}outside -> shop\/database-0:22\/tcp$/m);
  });

  test('exits with 2 for manifests with errors, also for those before the change', async () => {
    const broken = BEFORE.replace('name: frontend,', 'name: Front_End,');
    using before = manifestFolder(broken);
    const { code, stderr } = await podfence(['matrix', '-m', SHOP, '--diff', before.path]);
    expect(stderr).toContain('front-end');
    expect(code).toBe(2);
  });

  test('exits with 2 if a policy before the change is refused', async () => {
    using before = manifestFolder(costlyPolicy('shop'));
    const { code, stderr } = await podfence(['matrix', '-m', SHOP, '--diff', before.path]);
    expect(stderr).toContain(`${before.path}: NetworkPolicy shop/costly is refused: its ipBlocks ask for`);
    expect(code).toBe(2);
  });

  test('without a pod there is nothing to show', async () => {
    const { code, stderr } = await podfence(['matrix', '-m', '-'], BEFORE);
    expect(stderr).toContain('there are no pods');
    expect(code).toBe(2);
  });
});

describe('--fail-on', () => {
  test('reports pods that an assertion could not be checked for, though it holds', async () => {
    const proxy = `
apiVersion: v1
kind: Pod
metadata: { name: proxy, namespace: shop }
spec: { hostNetwork: true, containers: [{ name: c, image: x }] }
`;
    using host = manifestFolder(proxy);
    const args = ['matrix', '-m', SHOP, '-m', host.path, '--fail-on', 'elsewhere/* -> shop/*'];
    const { code, stdout } = await podfence(args);
    expect(stdout).toContain(
      '! --fail-on  elsewhere/* -> shop/*\n    not checked for pods in the network of their node',
    );
    expect(stdout).toContain('shop/proxy\n\n1 of 1 assertions hold');
    expect(code).toBe(0);
    const { assertions } = JSON.parse((await podfence([...args, '--json'])).stdout);
    expect(assertions).toMatchObject([{ holds: true, leftOut: ['shop/proxy'] }]);
  });

  test('prints only how many assertions hold if all do', async () => {
    const { code, stdout } = await podfence([
      ...['matrix', '-m', SHOP, '--fail-on', 'elsewhere/* -> shop/*'],
      ...['--fail-on', 'allow shop/frontend -> shop/backend:80'],
    ]);
    expect(stdout).toBe('2 of 2 assertions hold, for 67 flows\n');
    expect(code).toBe(0);
  });

  test('reports each violated assertion with its line, a flow, and the rules that allow it', async () => {
    using folder = manifestFolder('');
    const rules = join(folder.path, 'rules.txt');
    writeFileSync(rules, '# the backend\nelsewhere/* -> shop/backend\n\ndeny shop/frontend -> shop/backend:9000\n');
    const { code, stdout } = await podfence(['matrix', '-m', SHOP, '--fail-on', rules]);
    const policies = join(SHOP, 'policies/shop.yaml');
    expect(stdout).toContain(`✗ ${rules}:4  deny shop/frontend -> shop/backend:9000\n    2 of 2 flows are possible:\n`);
    expect(stdout).toContain(
      '    shop/frontend-1 -> shop/backend-1:9000/tcp and 1 more, of pods that no policy tells apart from these\n',
    );
    expect(stdout).toContain(`allows it: policy shop/backend rule 1 (${policies}:63)\n`);
    expect(stdout).toMatch(/^1 of 2 assertions hold/m);
    expect(code).toBe(1);
  });

  test('says which side denies the flow of a violated allow', async () => {
    const { code, stdout } = await podfence([
      'matrix',
      '-m',
      SHOP,
      '--fail-on',
      'allow elsewhere/* -> shop/database:5432',
    ]);
    expect(stdout).toContain('1 of 1 flows is not possible');
    expect(stdout).toMatch(/^ +ingress: .*: policy shop\/database \(.*shop.yaml:\d+\), policy shop\/default-deny/m);
    expect(stdout).not.toContain('egress:');
    expect(code).toBe(1);
  });

  test('reports its results in JSON too', async () => {
    const args = ['matrix', '-m', SHOP, '--json', '--fail-on', 'shop/backend -> shop/database:5432'];
    const { code, stdout } = await podfence(args);
    const { assertions } = JSON.parse(stdout) as { assertions: unknown };
    expect(assertions).toEqual([
      {
        place: '--fail-on',
        assertion: 'shop/backend -> shop/database:5432',
        expected: 'deny',
        holds: false,
        flows: 2,
        violations: [
          {
            from: 'shop/backend-1',
            to: 'shop/database-0',
            port: 5432,
            protocol: 'TCP',
            alike: 2,
            verdict: 'allow',
            egress: 'allow',
            ingress: 'allow',
            reason: 'allowed-by-policy',
          },
        ],
      },
    ]);
    expect(code).toBe(1);
  });

  test.each([
    ['a mistake', 'shop/a -> shop/b:80/tpc', 'is not a protocol'],
    ['an end that does not exist', 'shop/fronted -> shop/backend:80', 'Did you mean shop/frontend?'],
    ['a missing file', 'no-such-file', 'neither an assertion'],
  ])('exits with 2 for %s', async (_, given, message) => {
    const { code, stdout, stderr } = await podfence(['matrix', '-m', SHOP, '--fail-on', given]);
    expect(stderr).toContain(message);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});

import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, test } from 'vitest';
import { policy as apiPolicy, pod } from '../kube/objects.ts';
import { startServer } from '../kube/watched-cluster.ts';
import { costlyPolicy } from './costly-policy.ts';
import { ended, podfence, start } from './podfence.ts';

const EXAMPLE = 'examples/three-tier';
const SHOP = `${EXAMPLE}/policies/shop.yaml`;
const DENIED = ['--from', 'elsewhere/stranger', '--to', 'shop/database-0', '--port', '5432'];

const folder = mkdtempSync(join(tmpdir(), 'podfence-explain-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('podfence explain', () => {
  test('prints a denied flow for people: verdict, directions, near misses, suggestion', async () => {
    const { code, stdout, stderr } = await podfence(['explain', ...DENIED, '--manifests', EXAMPLE]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(`DENIED  elsewhere/stranger -> shop/database-0, port 5432

  egress   allowed: no policy selects elsewhere/stranger for egress
  ingress  denied: shop/database-0 is isolated, and none of the policies allows it
           isolated by  shop/database      ${SHOP}:76
                        shop/default-deny  ${SHOP}:2
           nearest      policy shop/database rule 1 would allow port 5432 from pods with
                        app=backend; stranger has app=stranger; stranger is in namespace elsewhere,
                        and without a namespaceSelector only pods of shop match
                        ${SHOP}:86

This would allow it, and nothing else:

    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata:
      name: database-0-from-stranger-5432
      namespace: shop
    spec:
      podSelector:
        matchLabels:
          app: database
      policyTypes: [Ingress]
      ingress:
        - from:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: elsewhere
              podSelector:
                matchLabels:
                  app: stranger
          ports:
            - protocol: TCP
              port: 5432
`);
  });

  test('prints an allowed flow to a Service: the backends, and the rules that allow it', async () => {
    const flow = ['--from', 'frontend-1', '--to', 'shop/backend', '--port', 'api'];
    const { code, stdout } = await podfence(['explain', ...flow, '-m', EXAMPLE]);
    expect(code).toBe(0);
    expect(stdout).toBe(`ALLOWED  shop/frontend-1 -> service/shop/backend, port 80

allowed at shop/backend-1 and shop/backend-2, port 9000
  egress   allowed: shop/frontend-1 is isolated, and a rule allows it
           isolated by  shop/default-deny  ${SHOP}:2
                        shop/dns           ${SHOP}:12
                        shop/frontend      ${SHOP}:31
           allowed by   shop/frontend rule 1  ${SHOP}:46
  ingress  allowed: shop/backend-1 is isolated, and a rule allows it
           isolated by  shop/backend       ${SHOP}:53
                        shop/default-deny  ${SHOP}:2
           allowed by   shop/backend rule 1  ${SHOP}:63

Note: Replies pass by connection tracking and need no rule of their own.
`);
  });

  test('prints one JSON document with --json', async () => {
    const { code, stdout, stderr } = await podfence(['explain', ...DENIED, '-m', EXAMPLE, '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.endsWith('}\n')).toBe(true);
    expect(JSON.parse(stdout)).toMatchObject({
      from: 'elsewhere/stranger',
      verdict: 'deny',
      ways: [{ reason: 'ingress-denied', sides: { ingress: { isolatedBy: [{ file: SHOP, line: 76 }, { line: 2 }] } } }],
    });
  });

  test('suggests a policy that allows the flow once it is added to the manifests', async () => {
    const flow = ['--from', 'shop/frontend-1', '--to', 'shop/database-0', '--port', '5432'];
    const { stdout } = await podfence(['explain', ...flow, '-m', EXAMPLE, '--json']);
    const { verdict, ways } = JSON.parse(stdout);
    expect({ verdict, documents: ways[0].suggestion.yaml.split('---\n').length }).toEqual({
      verdict: 'deny',
      documents: 2,
    });
    const added = file('added.yaml', ways[0].suggestion.yaml);
    const after = await podfence(['explain', ...flow, '-m', EXAMPLE, '-m', added, '--json']);
    expect(JSON.parse(after.stdout).verdict).toBe('allow');
  });

  test('finds a hostNetwork pod by its node, and does not find it on other nodes', async () => {
    const manifests = file('host.yaml', HOST_NETWORK);
    const verdicts = ['near', 'far'].map(async (name) => {
      const { stdout } = await podfence([
        'explain',
        '--from',
        `n/${name}`,
        '--to',
        'n/app',
        '--port',
        '1',
        '-m',
        manifests,
        '--json',
      ]);
      return JSON.parse(stdout).ways[0].reason;
    });
    expect(await Promise.all(verdicts)).toEqual(['local-node', 'ingress-denied']);
  });

  test('says that a made-up address decides, unless the pod range is known', async () => {
    const ask = async (...flags: readonly string[]) => {
      const question = [
        '--from',
        'n/client',
        '--to',
        'n/app',
        '--port',
        '1',
        '-m',
        file('block.yaml', BLOCK),
        '--json',
      ];
      const { stdout, stderr } = await podfence(['explain', ...question, ...flags]);
      return stderr === '' ? JSON.parse(stdout).ways[0] : stderr;
    };
    const address = expect.stringMatching(/^10\.244\./);
    const note = expect.stringMatching(/^The address of n\/client is not known: 10\.244\.\S+ is made up\./);
    expect(await ask()).toMatchObject({ from: { address }, notes: [note] });
    const known = await ask('--pod-range', '10.42.0.0/16');
    expect(known).toMatchObject({ from: { address: expect.stringMatching(/^10\.42\./) }, verdict: 'allow', notes: [] });
    expect(await ask('--pod-range', '10.42')).toContain('10.42 is not a CIDR block');
    expect(await ask('--pod-range', '10.42.0.0/31')).toContain('--pod-range: address range: 10.42.0.0/31 is too small');
  });

  test('reads the cluster of a kubeconfig page by page, with its Services', async () => {
    const server = await startServer();
    for (let i = 0; i < 600; i++)
      server.set(pod('default', `p${i}`, { ip: `10.1.${i >> 8}.${i & 255}`, labels: { app: 'p' } }));
    server.set(apiPolicy('default', 'closed', { podSelector: { matchLabels: { app: 'p' } } }));
    server.set({
      kind: 'Service',
      apiVersion: 'v1',
      metadata: { namespace: 'default', name: 'p' },
      spec: {
        type: 'ClusterIP',
        clusterIP: '10.96.0.9',
        clusterIPs: ['10.96.0.9'],
        selector: { app: 'p' },
        ports: [{ port: 80, targetPort: 8080 }],
      },
    });
    const config = file('kubeconfig', server.kubeConfig());
    const asked = ['explain', '--from', 'p7', '--to', 'default/p', '--port', '80', '--json', '--kubeconfig', config];
    const { code, stdout, stderr } = await podfence(asked);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { to, verdict, ways } = JSON.parse(stdout);
    expect({ to, verdict }).toEqual({ to: 'service/default/p', verdict: 'mixed' });
    // The pod itself is one of the backends.
    expect(
      ways.map(({ verdict, port, alike }: { verdict: string; port: number; alike: string[] }) => [
        verdict,
        port,
        alike.length,
      ]),
    ).toEqual([
      ['deny', 8080, 598],
      ['allow', 8080, 0],
    ]);
    server.fail({ kind: 'Service', answer: { status: 403, reason: 'Forbidden' } });
    const withoutServices = await podfence([...asked.slice(0, 4), '10.96.0.9', ...asked.slice(5)]);
    expect(withoutServices.stderr).toContain(
      'Services  warning: you may not list them, so their names are not known: HTTP 403',
    );
    expect(JSON.parse(withoutServices.stdout)).toMatchObject({ to: '10.96.0.9', verdict: 'allow' });
  });

  test.each(['explain', 'matrix'])(
    '%s with a kubeconfig reads a dual-stack cluster as its objects describe it',
    async (command) => {
      const server = await startServer();
      const addresses = [{ ip: '10.1.0.1' }, { ip: 'fd00:1::1' }];
      const dual = (name: string, index: number) => {
        const object = pod('default', name, { labels: { app: name } });
        const podIPs = addresses.map(({ ip }) => ({ ip: `${ip}${index}` }));
        server.set({ ...object, status: { phase: 'Running', podIP: podIPs[0]?.ip, podIPs } });
      };
      for (const [index, name] of ['client', 'server'].entries()) dual(name, index);
      const ingress = [{ from: [{ ipBlock: { cidr: '10.1.0.0/16' } }] }];
      server.set(apiPolicy('default', 'ipv4', { podSelector: { matchLabels: { app: 'server' } }, ingress }));
      for (const [name, clusterIPs] of Object.entries({ svc: ['10.96.0.9', 'fd00:96::9'], headless: ['None'] })) {
        const spec = { type: 'ClusterIP', clusterIP: clusterIPs[0], clusterIPs, selector: { app: 'server' } };
        const families = { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' };
        server.set({
          kind: 'Service',
          apiVersion: 'v1',
          metadata: { namespace: 'default', name },
          spec: { ...spec, ...families, ports: [{ port: 80, targetPort: 8080 }] },
        });
      }
      const flow = ['--from', 'client', '--to', 'default/svc', '--port', '80'];
      const asked = [command, ...(command === 'explain' ? flow : []), '--json'];
      const { code, stdout, stderr } = await podfence([
        ...asked,
        '--kubeconfig',
        file('kubeconfig', server.kubeConfig()),
      ]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      // Both families are judged: the policy distinguishes them.
      expect(stdout).toContain('"verdict":"mixed"');
    },
  );

  test('sends an agent the Service by its name or its address', async () => {
    const asked: (string | null)[][] = [];
    const agent = createServer((request, response) => {
      const { searchParams } = new URL(request.url ?? '', 'http://agent');
      asked.push([searchParams.get('to'), searchParams.get('service')]);
      response.end(JSON.stringify({ from: 'a', to: 'b', protocol: 'TCP', port: 80, verdict: 'allow', ways: [] }));
    });
    await once(agent.listen(0, '127.0.0.1'), 'listening');
    const { port } = agent.address() as AddressInfo;
    const ask = async (to: string, ...flags: readonly string[]) => {
      const question = ['--from', 'shop/frontend-1', '--to', to, '--port', '80', '--agent', `127.0.0.1:${port}`];
      expect(await podfence(['explain', ...question, ...flags])).toMatchObject({ code: 0, stderr: '' });
      return asked.at(-1);
    };
    const manifests = file('service.yaml', SERVICE);
    const [to, service] = (await ask('10.96.0.10', '-m', manifests)) ?? [];
    expect({ to, ...JSON.parse(service ?? '') }).toMatchObject({
      to: 'service/shop/server',
      metadata: { namespace: 'shop', name: 'server' },
      spec: { selector: { app: 'server' }, clusterIPs: ['10.96.0.10'], ports: [{ port: 80, targetPort: 7001 }] },
    });
    expect(await ask('shop/server', '-m', manifests)).toEqual([to, service]);
    expect(await ask('shop/unknown', '-m', manifests)).toEqual(['shop/unknown', null]);
    expect(await ask('10.96.0.10')).toEqual(['10.96.0.10', null]);
    agent.close();
  });

  test.each([
    [['--from', 'a'], 2, '--to, --port missing'],
    [[...DENIED, '-m', EXAMPLE, '--kubeconfig', 'x'], 2, '--manifests and --kubeconfig: give one or the other'],
    [['--batch', '-m', EXAMPLE, '--agent', 'x'], 2, 'cannot be used with'],
    [['--batch', '-m', '-'], 2, 'only one of them can read standard input'],
    [['--batch', '/nowhere/flows', '-m', EXAMPLE], 2, '--batch /nowhere/flows: ENOENT'],
    [[...DENIED, '--kubeconfig', '/nowhere/config'], 2, "'/nowhere/config'. Or give manifests: --manifests FOLDER."],
    [['--from', 'shop/fronted-1', '--to', '1.1.1.1', '--port', '1', '-m', EXAMPLE], 2, 'Did you mean shop/frontend-1?'],
    [[...DENIED, '--agent', '127.0.0.1:4'], 3, 'no agent answers at http://127.0.0.1:4: ECONNREFUSED'],
  ])('%j is refused with what is wrong', async (flags, code, words) => {
    const outcome = await podfence(['explain', ...flags]);
    expect(outcome).toMatchObject({ code, stdout: '' });
    expect(outcome.stderr).toContain(words);
  });

  test('reports that the cluster does not answer', async () => {
    const server = await startServer();
    const config = file('gone', server.kubeConfig());
    await server.stop();
    const { code, stderr } = await podfence(['explain', ...DENIED, '--kubeconfig', config]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/cannot read the cluster at \S+: connect ECONNREFUSED/);
  });
});

describe('podfence explain --batch', () => {
  const good = { from: 'elsewhere/stranger', to: 'shop/database-0', port: 5432, protocol: 'TCP' };
  const answered = { ...good, egress: 'allow', ingress: 'deny', verdict: 'deny', reason: 'ingress-denied' };
  const batch = ['explain', '--batch', '-m', EXAMPLE];

  test('answers each line in turn, from standard input and from a file', async () => {
    const lines = Array.from({ length: 2000 }, (_, i) => ({ ...good, port: i + 1 }));
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    const expected = lines.map((line) => `${JSON.stringify({ ...answered, port: line.port })}\n`).join('');
    expect(await podfence(batch, text)).toEqual({ code: 0, stdout: expected, stderr: '' });
    const fromFile = ['explain', '--batch', file('flows.jsonl', text), '-m', EXAMPLE];
    expect(await podfence(fromFile)).toEqual({ code: 0, stdout: expected, stderr: '' });
  });

  test('reports a bad line in its place and answers the others', async () => {
    const long = JSON.stringify({ ...good, from: 'x'.repeat(70_000) });
    const input = [JSON.stringify(good), 'no json', '', long, JSON.stringify(good)].join('\n');
    const { code, stdout, stderr } = await podfence(batch, input);
    expect({ code, stderr }).toEqual({ code: 2, stderr: '2 lines are not questions.\n' });
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      answered,
      { line: 2, error: expect.stringContaining('not JSON') },
      { line: 4, error: 'the line has more than 65536 characters' },
      answered,
    ]);
  });

  test('answers as questions come', async () => {
    const child = start(...batch);
    const outcome = ended(child);
    const answers = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    for (const port of [1, 2, 3]) {
      child.stdin?.write(`${JSON.stringify({ ...good, port })}\n`);
      const [line] = (await once(answers, 'line')) as [string];
      expect(JSON.parse(line).port).toBe(port);
    }
    child.stdin?.end();
    expect((await outcome).code).toBe(0);
  });

  test('ends silently when its output is closed', async () => {
    const child = start(...batch);
    const outcome = ended(child);
    const question = `${JSON.stringify(good)}\n`.repeat(1000);
    child.stdin?.on('error', () => {});
    child.stdout?.once('data', () => child.stdout?.destroy());
    const write = () => child.stdin?.write(question, (error) => (error ? undefined : write()));
    write();
    expect(await outcome).toMatchObject({ code: 0, stderr: '' });
  });

  test('answers what it can if manifests have errors, and says so in the exit code', async () => {
    const broken = file(
      'broken.yaml',
      'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {podSelectr: {}}',
    );
    const { code, stdout, stderr } = await podfence([...batch, '-m', broken], JSON.stringify(good));
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toEqual(answered);
    expect(stderr).toContain('Did you mean podSelector?');
  });

  test('names the policies that need too much of the rule table, also in the exit code', async () => {
    const costly = file('costly.yaml', costlyPolicy('default'));
    const { code, stdout, stderr } = await podfence([...batch, '-m', costly], JSON.stringify(good));
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toEqual(answered);
    expect(stderr).toContain('NetworkPolicy default/costly is refused: its ipBlocks ask for');
  });
});

const SERVICE = `
kind: Service
apiVersion: v1
metadata: {name: server, namespace: shop}
spec: {clusterIP: 10.96.0.10, selector: {app: server}, ports: [{port: 80, targetPort: 7001}]}
`;

const BLOCK = `
kind: Pod
apiVersion: v1
metadata: {name: app, namespace: n, labels: {app: app}}
spec: {containers: [{name: c}]}
---
kind: Pod
apiVersion: v1
metadata: {name: client, namespace: n}
spec: {containers: [{name: c}]}
---
kind: NetworkPolicy
apiVersion: networking.k8s.io/v1
metadata: {name: p, namespace: n}
spec: {podSelector: {matchLabels: {app: app}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.244.0.0/17]}}]}]}
`;

const HOST_NETWORK = `
kind: Pod
apiVersion: v1
metadata: {name: app, namespace: n}
spec: {nodeName: one, containers: [{name: c}]}
---
kind: Pod
apiVersion: v1
metadata: {name: near, namespace: n}
spec: {nodeName: one, hostNetwork: true, containers: [{name: c}]}
---
kind: Pod
apiVersion: v1
metadata: {name: far, namespace: n}
spec: {hostNetwork: true, containers: [{name: c}]}
---
kind: NetworkPolicy
apiVersion: networking.k8s.io/v1
metadata: {name: closed, namespace: n}
spec: {podSelector: {}}
`;

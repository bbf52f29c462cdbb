import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import { costlyPolicy } from './costly-policy.ts';
import { ended, manifestFolder, podfence, processesWith, start } from './podfence.ts';

const SHOP = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, image: i, ports: [{containerPort: 5432}, {containerPort: 53, protocol: UDP}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {type: NodePort, selector: {app: db}, ports: [{port: 5432, nodePort: 30432}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
`;
const BAD_POLICY = `
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: bad, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 99999}]}]}
`;

/** Name of the lab that stays up in these tests. */
const name = `test-${process.pid}`;

/** Returns everything that a lab could leave behind. */
function traces() {
  const state = existsSync('/run/podfence') ? readdirSync('/run/podfence') : [];
  return {
    interfaces: readdirSync('/sys/class/net'),
    namespaces: execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }),
    state: state.filter((file) => file.includes(name)),
  };
}

describe('podfence', () => {
  test('--version prints the version and loads only what it needs', async () => {
    expect(await podfence(['--version'])).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' });
  });

  test.each([
    [['lba'], "unknown command 'lba'"],
    [['lab', 'run'], "required option '-m, --manifests <path>' not specified"],
    [['lab', 'run', '-m', 'x', '--nodes', '0'], 'whole number from 1'],
    [['lab', 'up', '-m', 'x', '--name', '../x'], 'lower-case letters'],
  ])('%j is refused with exit code 2', async (args, message) => {
    const { code, stdout, stderr } = await podfence(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });
});

describeAsRoot('podfence lab run', () => {
  test('--json prints one line a probe and nothing else, with exit code 0', async () => {
    using folder = manifestFolder(SHOP);
    const { code, stdout, stderr } = await podfence([
      'lab',
      'run',
      '-m',
      folder.path,
      '--json',
      '-e',
      'client=203.0.113.9',
    ]);
    const probes = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const said = probes.map(({ from, to, port, protocol, expected, observed }) =>
      [from, to, port, protocol, expected, observed].join(' '),
    );
    expect(said.sort()).toEqual([
      'client service/shop/db 30432 TCP deny deny',
      'client shop/db 53 UDP deny deny',
      'client shop/db 5432 TCP deny deny',
      'client shop/web 80 TCP allow allow',
      'shop/db service/shop/db 5432 TCP allow allow',
      'shop/db shop/web 80 TCP allow allow',
      'shop/web service/shop/db 5432 TCP allow allow',
      'shop/web shop/db 53 UDP deny deny',
      'shop/web shop/db 5432 TCP allow allow',
    ]);
    expect(Object.keys(probes[0] ?? {}).slice(0, 6)).toEqual([
      'from',
      'to',
      'port',
      'protocol',
      'expected',
      'observed',
    ]);
    expect(stderr).toContain('9 of 9 probes as the policies say');
    expect(code).toBe(0);
  });

  test('reads standard input, draws the matrix, and has exit code 2 after a manifest with an error', async () => {
    const { code, stdout, stderr } = await podfence(
      ['lab', 'run', '-m', '-', '--nodes', '2', '--deny', 'reject'],
      SHOP + BAD_POLICY,
    );
    expect(stderr).toContain('99999');
    expect(stdout).toMatch(/2 web +·● +●/);
    expect(stdout).toContain('5 of 5 probes as the policies say\n');
    expect(code).toBe(2);
  });

  test('names refused policies, which isolate their pods, and has exit code 2', async () => {
    const { code, stdout, stderr } = await podfence(['lab', 'run', '-m', '-'], `${SHOP}\n---\n${costlyPolicy('shop')}`);
    expect(stderr).toContain('NetworkPolicy shop/costly is refused: its ipBlocks ask for');
    expect(stdout).toContain(' probes as the policies say\n');
    expect(code).toBe(2);
  });

  test('without a pod there is nothing to run', async () => {
    const { code, stderr } = await podfence(
      ['lab', 'run', '-m', '-'],
      'kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n',
    );
    expect(stderr).toContain('the manifests have no pods');
    expect(code).toBe(2);
  });

  test.each(['making the network', 'starting the agents', 'probing'])(
    'Ctrl-C while %s ends it with exit code 130 and leaves nothing behind',
    async (step) => {
      const before = traces();
      const child = start('lab', 'run', '-m', '-', '--nodes', '2');
      const outcome = ended(child);
      child.stderr?.on('data', (text: string) => {
        if (text.includes(step)) child.kill('SIGINT');
      });
      child.stdin?.end(SHOP);
      expect((await outcome).code).toBe(130);
      await eventually(() => expect(processesWith('node-process.ts', String(child.pid))).toEqual([]));
      expect(traces()).toEqual(before);
    },
  );

  test('kill -9 leaves nothing behind, not even the agents of its nodes', async () => {
    const before = traces();
    const child = start('lab', 'run', '-m', '-', '--nodes', '2');
    const outcome = ended(child);
    child.stdin?.end(SHOP);
    await eventually(() => expect(processesWith('node-process.ts', String(child.pid))).toHaveLength(2));
    child.kill('SIGKILL');
    expect((await outcome).code).toBeNull();
    await eventually(() => expect(processesWith('node-process.ts', String(child.pid))).toEqual([]));
    expect(traces()).toEqual(before);
  });
});

describeAsRoot('a lab that stays', () => {
  // A test that fails leaves its lab up.
  afterEach(async () => {
    await podfence(['lab', 'down', '--name', name]);
  });

  test('is up until it is taken down, with everything that runs in it', async () => {
    const before = traces();
    using folder = manifestFolder(SHOP);
    const lab = (word: string, ...args: readonly string[]) => podfence(['lab', word, '--name', name, ...args]);
    expect(await lab('up', '-m', folder.path, '-e', 'client=203.0.113.9')).toMatchObject({ code: 0 });
    try {
      expect(await lab('up', '-m', folder.path)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('is up already'),
      });
      const status = await lab('status');
      expect(status.stdout).toMatch(/shop\/db +pod +node-1 +10\.244\.\d+\.\d+ +UDP 53, TCP 5432/);
      const address = /shop\/db +\S+ +TCP 5432 +30432/.exec(status.stdout)?.[0].split(/ +/)[1];
      const ask = ['bash', '-c', `exec 3<>/dev/tcp/${address}/5432; echo hello >&3; timeout 2 head -1 <&3; exit 7`];
      expect(await lab('exec', 'web', '--', ...ask)).toMatchObject({
        code: 7,
        stdout: expect.stringMatching(/^shop\/db saw 10\.244\./),
      });
      expect(await lab('exec', 'wbe', '--', 'true')).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('did you mean shop/web?'),
      });
      const sleeper = start('lab', 'exec', '--name', name, 'client', '--', 'sleep', `${process.pid}`);
      const slept = ended(sleeper);
      await eventually(() => expect(processesWith('sleep', `${process.pid}`)).toHaveLength(1));
      const background = String(process.pid + 1_000_000);
      await lab('exec', 'web', '--', 'sh', '-c', `sleep ${background} >/dev/null 2>&1 &`);
      expect(processesWith('sleep', background)).toHaveLength(1);
      expect(await lab('down')).toMatchObject({ code: 0 });
      expect(processesWith('sleep', background)).toEqual([]);
      expect((await slept).code).toBe(137);
      expect(await lab('exec', 'web', '--', 'true')).toMatchObject({ code: 2 });
    } finally {
      await lab('down');
    }
    expect(processesWith('sleep', `${process.pid}`)).toEqual([]);
    expect(traces()).toEqual(before);
  });

  test('is gone when its keeper is killed, and the next command cleans up after it', async () => {
    const before = traces();
    using folder = manifestFolder(SHOP);
    const lab = (word: string, ...args: readonly string[]) => podfence(['lab', word, '--name', name, ...args]);
    expect(await lab('up', '-m', folder.path)).toMatchObject({ code: 0 });
    const keeper = Number(/kept by process (\d+)/.exec((await lab('status')).stdout)?.[1]);
    process.kill(keeper, 'SIGKILL');
    await eventually(() => expect(processesWith('node-process.ts', String(keeper))).toEqual([]));
    expect(await lab('status')).toMatchObject({ code: 2, stderr: expect.stringContaining('lab up') });
    expect(traces()).toEqual(before);
  });
});

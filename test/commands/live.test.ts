import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FlowLine } from '../../src/flows/flow.ts';
import type { Netns } from '../../src/sys/netns.ts';
import { eventually } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import { transfer } from '../scenarios/large-packets.ts';
import { A, B, WiredHosts } from '../traffic/wired-hosts.ts';
import { ended, podfence, processesWith } from './podfence.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const pod = (name: string, address: string) => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, labels: {app: ${name}}}
spec: {containers: [{name: c, image: i}]}
status: {podIPs: [{ip: ${address}}]}
---`;
const policy = (port: number) => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: b, namespace: shop}
spec: {podSelector: {matchLabels: {app: b}}, ingress: [{ports: [{port: ${port}}]}]}
`;

let hosts: WiredHosts;
let folder: string;
let running: Running | undefined;

const manifests = (port: number) => writeFileSync(join(folder, 'all.yaml'), pod('a', A) + pod('b', B) + policy(port));

beforeEach(() => {
  hosts = new WiredHosts();
  folder = mkdtempSync(join(tmpdir(), 'podfence-live-'));
  manifests(7000);
});

afterEach(async () => {
  await running?.end('SIGKILL');
  running = undefined;
  hosts[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

/** The command line running in a network namespace. */
class Running {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #ended: Promise<number | null>;

  constructor(netns: Netns, args: readonly string[]) {
    const cli = join(ROOT, 'src/cli.ts');
    this.child = netns.run(() => spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }));
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.#ended = new Promise((resolve) => this.child.on('close', resolve));
  }

  async says(text: string): Promise<void> {
    await eventually(() => expect(this.stderr + this.stdout).toContain(text));
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    return await this.#ended;
  }

  /** Resolves with its exit code when it ends by itself. */
  get ended(): Promise<number | null> {
    return this.#ended;
  }

  get lines(): readonly FlowLine[] {
    return this.stdout
      .split('\n')
      .filter((line) => line.startsWith('{"verdict"'))
      .map((line) => JSON.parse(line));
  }

  get summary() {
    return JSON.parse(this.stdout.trimEnd().split('\n').at(-1) ?? '').summary;
  }
}

async function wire(...args: readonly string[]): Promise<Running> {
  running = new Running(hosts.middle, ['wire', 'to-a', 'to-b', '-m', folder, ...args]);
  await running.says('to-a is captured');
  await running.says('to-b is captured');
  return running;
}

const MOVED = { toServer: 1000, toClient: 1000 };

describeAsRoot('podfence wire', () => {
  test('carries what is allowed, follows the manifests, and prints a summary on Ctrl-C', async () => {
    const command = await wire();
    expect(await transfer(hosts.a, hosts.b, 4, 7000, 1000)).toEqual(MOVED);
    expect(hosts.pings(hosts.a, B)).toBe(false);
    await command.says('ingress-denied: shop/b');
    manifests(7001);
    await eventually(async () => expect(await transfer(hosts.a, hosts.b, 4, 7001, 1000)).toEqual(MOVED));
    expect(await command.end('SIGINT')).toBe(0);
    expect(command.stdout).toMatch(/^TIME +VERDICT +FROM +TO +PORT/);
    expect(command.stdout).toMatch(/\nPOLICY +ALLOWED +DENIED\nshop\/b +\d+ +\d+\n/);
    expect(command.stdout).toMatch(/\n\d+ packets judged, \d+ of them denied: .*ingress-denied \d+/);
    expect(command.stdout).toMatch(/\n\d+ frames sent on\n/);
  });

  test('restarts the capture process when it is killed, and says so', async () => {
    const command = await wire();
    const children = processesWith('capture-process.ts').filter((pid) => parentOf(pid) === command.child.pid);
    expect(children).toHaveLength(2);
    process.kill(children[0] as number, 'SIGKILL');
    await command.says('is not captured: the capturing process has ended: SIGKILL');
    await eventually(() => expect(command.stderr.match(/is captured\./g)).toHaveLength(3));
    expect(await transfer(hosts.a, hosts.b, 4, 7000, 1000)).toEqual(MOVED);
  });

  test('reports an interface that goes down in one line, goes on when it is back, and leaves no core dump', async () => {
    const command = await wire();
    const [child = 0] = processesWith('capture-process.ts').filter((pid) => parentOf(pid) === command.child.pid);
    const limits = readFileSync(`/proc/${child}/limits`, 'utf8');
    expect(limits).toMatch(/^Max core file size +0 +0 /m);
    const before = command.stderr;
    hosts.sh(hosts.middle, 'ip link set to-b down');
    await command.says('to-b is not captured: That device is not up');
    hosts.sh(hosts.middle, 'ip link set to-b up');
    await eventually(() => expect(command.stderr.match(/to-b is captured\./g)).toHaveLength(2));
    expect(command.stderr.slice(before.length).trim().split('\n')).toEqual([
      'to-b is not captured: That device is not up',
      'to-b is captured.',
    ]);
    expect(await transfer(hosts.a, hosts.b, 4, 7000, 1000)).toEqual(MOVED);
  });

  test('leaves no process behind when it is killed itself', async () => {
    const command = await wire();
    const children = processesWith('capture-process.ts').filter((pid) => parentOf(pid) === command.child.pid);
    await command.end('SIGKILL');
    await eventually(() => expect(children.filter(isAlive)).toEqual([]));
  });

  test('keeps its last policies while manifests cannot be read, and then follows them again', async () => {
    const command = await wire();
    const file = join(folder, 'all.yaml');
    for (const text of ['', 'kind: Pod\nmetadata: {name: [b]}']) {
      const before = command.stderr.length;
      writeFileSync(file, text);
      await eventually(() => expect(command.stderr.slice(before)).toContain('The last known state stays in use'));
      expect(hosts.pings(hosts.a, B)).toBe(false);
    }
    rmSync(folder, { recursive: true });
    await command.says('there is no such file or folder');
    expect(hosts.pings(hosts.a, B)).toBe(false);
    mkdirSync(folder);
    manifests(7001);
    await eventually(async () => expect(await transfer(hosts.a, hosts.b, 4, 7001, 1000)).toEqual(MOVED));
  });

  test('waits for an interface that does not exist, and warns about one that has an address', async () => {
    hosts.sh(hosts.middle, 'ip addr add 10.7.0.9/24 dev to-a; ip link delete to-b');
    running = new Running(hosts.middle, ['wire', 'to-a', 'to-b', '-m', folder]);
    await running.says('to-b is not captured: No such device');
    expect(running.stderr).toContain('to-a has the address 10.7.0.9: packets to this machine');
    hosts.plug(hosts.b);
    await running.says('to-b is captured');
  });

  test.each([
    [['to-a', 'to-a'], 'a wire has two ends: to-a was given twice', 2],
    [['to-a'], "missing required argument 'interface-b'", 2],
    [['any', 'to-b'], 'the ends of a wire are network interfaces, and any is not one', 2],
    [['to-a', 'to-b', '--buffer', '-1'], 'Give a number above 0', 2],
    [['to-a', 'to-b', '--buffer', '2048'], 'Give a number from 1 to 2047', 2],
    [['to-a', 'to-b', '-m', '/nowhere'], 'a wire does not start unless the manifests can be read in full', 2],
  ])('%j is refused', async (args, message, code) => {
    const outcome = await podfence(['wire', ...args, '-m', folder]);
    expect(outcome.stderr).toContain(message);
    expect(outcome.code).toBe(code);
  });
});

describeAsRoot('podfence wire between ports of a bridge', () => {
  test('is refused: the bridge would carry everything', async () => {
    hosts.sh(hosts.middle, 'ip link add name bridge0 type bridge; ip link set to-b master bridge0');
    const script = 'mount -t sysfs none /sys && exec "$0" "$@"';
    const wireArgs = ['wire', 'to-a', 'to-b', '-m', folder, '--duration', '1'];
    const args = ['-m', 'sh', '-c', script, process.execPath, join(ROOT, 'src/cli.ts'), ...wireArgs];
    const { code, stderr } = await ended(hosts.middle.run(() => spawn('unshare', args)));
    expect(stderr).toContain('podfence: to-b belongs to bridge0, which carries its frames by itself. Take it out:');
    expect(code).toBe(2);
  });
});

describeAsRoot('podfence audit', () => {
  beforeEach(() => {
    hosts.sh(
      hosts.middle,
      'ip link add name bridge0 type bridge; ip link set to-a master bridge0; ip link set to-b master bridge0; ip link set bridge0 up',
    );
  });

  test('reports exactly what would be denied, once, drops nothing, and ends with a summary', async () => {
    running = new Running(hosts.middle, ['audit', '-i', 'to-b', '-m', folder, '--json', '--check']);
    await running.says('to-b is captured');
    expect(await transfer(hosts.a, hosts.b, 4, 7000, 1000)).toEqual(MOVED);
    expect(await transfer(hosts.a, hosts.b, 4, 7001, 1000)).toEqual(MOVED);
    expect(hosts.pings(hosts.b, A)).toBe(true);
    await running.says('"port":7001');
    expect(await running.end('SIGINT')).toBe(1);
    expect(running.lines.map(({ verdict, port, count }) => [verdict, port, count])).toEqual([['deny', 7001, 1]]);
    expect(running.summary).toMatchObject({ dropped: 0, policies: [{ policy: 'shop/b', allowed: 1, denied: 1 }] });
  });

  test('reports the interface that goes down in one line, and no other', async () => {
    running = new Running(hosts.middle, ['audit', '-i', 'to-a', '-i', 'to-b', '-m', folder]);
    await running.says('to-a is captured');
    await running.says('to-b is captured');
    const before = running.stderr;
    hosts.sh(hosts.middle, 'ip link set to-b down');
    await running.says('to-b is not captured: That device is not up');
    expect(running.stderr.slice(before.length).trim()).toBe('to-b is not captured: That device is not up');
  });

  test('shows allowed flows too with --all, and ends by itself after --duration', async () => {
    running = new Running(hosts.middle, ['audit', '-i', 'any', '-m', folder, '--json', '--all', '--duration', '2']);
    await running.says('any is captured');
    expect(await transfer(hosts.a, hosts.b, 4, 7000, 1000)).toEqual(MOVED);
    await running.says('"summary"');
    expect(running.lines.filter(({ protocol }) => protocol === 'TCP')).toMatchObject([
      { verdict: 'allow', port: 7000, policies: [{ name: 'b' }] },
    ]);
  });
});

describeAsRoot('podfence audit that cannot capture', () => {
  test('suggests the interface that was probably meant, and does not pass as a check', async () => {
    running = new Running(hosts.middle, ['audit', '-i', 'to-x', '-m', folder, '--check', '--duration', '0.5']);
    expect(await running.ended).toBe(3);
    expect(running.stderr).toContain('Did you mean to-a?');
    expect(running.stderr).toContain('podfence: nothing was captured on to-x: No such device');
  });

  test('reports that it lacks the right to capture, and ends', async () => {
    const args = ['--bounding-set', '-net_raw,-net_admin', process.execPath, join(ROOT, 'src/cli.ts')];
    const child = spawn('setpriv', [...args, 'audit', '-i', 'lo', '-m', folder]);
    const { code, stderr } = await ended(child);
    expect(stderr).toContain('podfence: capturing needs root, or CAP_NET_RAW and CAP_NET_ADMIN');
    expect(code).toBe(3);
  });
});

describeAsRoot('a machine without libpcap', () => {
  /**
   * Runs the command line with a part of the file system hidden, in a network namespace of its own.
   */
  const without = (hide: string, ...args: readonly string[]) => {
    const script = `${hide} && exec "$0" "$@"`;
    const command = ['-mn', 'sh', '-c', script, process.execPath, join(ROOT, 'src/cli.ts'), ...args];
    // As a user's shell has it: the agent refuses unknown settings.
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('PODFENCE_'));
    const child = spawn('unshare', command, { stdio: ['ignore', 'pipe', 'pipe'], env: Object.fromEntries(own) });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    return new Promise<{ code: number | null; stderr: string }>((resolve) =>
      child.on('close', (code) => resolve({ code, stderr })),
    );
  };
  const NO_CAP = `mount -t tmpfs none ${join(ROOT, 'node_modules/cap')}`;
  const NO_LIBPCAP = 'mount --bind /dev/null "$(ldconfig -p | sed -n "s/.*libpcap.so.0.8 .* => //p" | head -n 1)"';

  const AGENT = ['agent', '--mode', 'audit', '--metrics-address', '0.0.0.0:0', '--query-address', 'off'];

  test.each([
    ['wire', NO_CAP, ['wire', 'lo', 'x'], 'apt-get install libpcap-dev g++ make python3, then npm ci'],
    ['audit', NO_LIBPCAP, ['audit', '-i', 'lo'], 'apt-get install libpcap0.8'],
    ['agent', NO_LIBPCAP, AGENT, 'apt-get install libpcap0.8'],
  ])('%s says what is missing, and exits with 3', async (_, hide, args, advice) => {
    const { code, stderr } = await without(hide, ...args, '--manifests', folder);
    expect(stderr).toContain(advice);
    expect(code).toBe(3);
  });

  test('runs everything that does not capture', async () => {
    const { code, stderr } = await without(NO_CAP, 'lint', folder);
    expect(stderr).toBe('');
    expect(code).toBeLessThan(2);
  });
});

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(statusOf(pid))?.[1]);
}

/** Returns '' for a process that is gone. */
function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  // A zombie has ended; its parent may take a while to reap it.
  return /^State:\s+[^Z]/m.test(statusOf(pid));
}

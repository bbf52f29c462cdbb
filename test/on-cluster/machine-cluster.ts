/**
 * A real cluster on this machine, without a container engine: network namespaces for its nodes, real kubelets. The scripts that bring
 * it up lie beside the checkout, in ../shared/cluster; its README says what they make.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PROJECT } from './cluster.ts';
import { wireToBridge } from './machine.ts';
import { output, Running, say } from './shell.ts';
import type { ClusterTarget } from './target.ts';

const SCRIPTS = resolve(PROJECT, '..', 'shared', 'cluster');
/** Where the scripts keep binaries, images and what runs; PFC moves it. */
const STATE = process.env.PFC ?? '/var/lib/pfc';
const IMAGE = 'podfence:dev';

/** One way to bring it up. */
export interface Variant {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  /** The CNI plugin in place of ptp. */
  readonly bridge?: true;
}

export const PLAIN: Variant = { name: 'plain', env: {} };

export const VARIANTS: readonly Variant[] = [
  { name: 'nftables', env: { PROXY_MODE: 'nftables' } },
  { name: 'dual-stack', env: { DUAL: '1' } },
  { name: 'containerd-2', env: { CTR: '2' } },
  { name: 'bridge', env: {}, bridge: true },
];

/** Why none can be brought up here; undefined where one can. */
export function obstacle(): string | undefined {
  if (!existsSync(join(SCRIPTS, 'up')))
    return 'no kubeconfig is given, and no scripts for a cluster are beside the checkout';
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'a cluster on this machine needs root on Linux';
  return undefined;
}

/** Is one up that somebody else started? */
export function isUp(): boolean {
  const namespaces = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout;
  return /^pfc\d/m.test(namespaces ?? '');
}

export class MachineCluster {
  readonly target: ClusterTarget;
  readonly #variant: Variant;
  readonly #wasThere = existsSync(STATE);
  /** Images that a run before has left, and binaries, are not ours to take away. */
  readonly #imagesBefore = new Set(existsSync(join(STATE, 'images')) ? readdirSync(join(STATE, 'images')) : []);

  constructor(variant: Variant, folders: Pick<ClusterTarget, 'artifacts' | 'temporary'>) {
    this.#variant = variant;
    this.target = {
      kubeconfig: join(STATE, 'pki', 'admin.conf'),
      enter: ['ip', 'netns', 'exec', 'pfc0'],
      kubectl: join(STATE, 'bin', 'kubectl'),
      onNode: [join(SCRIPTS, 'in'), '{number}'],
      image: IMAGE,
      scripts: SCRIPTS,
      state: STATE,
      env: variant.env,
      ...folders,
    };
  }

  /** Brings the cluster up and builds podfence's image meanwhile, then gives the image to every node. */
  async start(): Promise<void> {
    const root = mkdtempSync(join(tmpdir(), 'podfence-image-'));
    const steps = join(PROJECT, 'test', 'deploy', 'dockerfile-steps.mjs');
    try {
      await together([
        ['the cluster', this.#up(), 300_000],
        ['the image', new Running([process.execPath, steps, '--root', root], { echo: /^\[\w+\] / }), 900_000],
      ]);
      if (this.#variant.bridge) await this.#useBridge();
      say('the image goes to every node');
      // By the name that daemonset/base has, too.
      await output([join(SCRIPTS, 'image'), IMAGE, root, '--entrypoint', 'podfence', '--also', 'podfence:0.1.0'], {
        env: this.#env,
        timeout: 300_000,
        quiet: true,
      });
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  }

  /**
   * Ends all of it; what was not there before goes.
   * @throws Error that names what is left; the state then stays, for whoever looks for the reason
   */
  async stop(): Promise<void> {
    say('the cluster is taken down');
    await output([join(SCRIPTS, 'down')], { env: this.#env, quiet: true });
    // What was killed a moment ago may hold a cgroup still.
    if (leftOvers().length > 0) await output([join(SCRIPTS, 'down')], { env: this.#env, quiet: true });
    const left = leftOvers();
    if (left.length > 0) throw new Error(`the cluster has left something behind:\n${left.join('\n')}`);
    if (!this.#wasThere) {
      rmSync(STATE, { recursive: true, force: true });
      return;
    }
    const images = join(STATE, 'images');
    if (!existsSync(images)) return;
    for (const image of readdirSync(images)) {
      if (!this.#imagesBefore.has(image) && image.startsWith('podfence')) rmSync(join(images, image));
    }
  }

  get #env(): NodeJS.ProcessEnv {
    return { ...process.env, ...this.#variant.env, PFC: STATE };
  }

  #up(): Running {
    const show = (line: string) => {
      if (/^\d\d:\d\d:\d\d|^installing/.test(line)) say(line.replace(/^\d\d:\d\d:\d\d /, 'up: '));
    };
    return new Running([join(SCRIPTS, 'up'), '2'], { env: this.#env, echo: show });
  }

  /** Pods are wired to a bridge, as with many CNIs, instead of by ptp; those that run are made again. */
  async #useBridge(): Promise<void> {
    say('pods on a bridge: the CNI configuration of every node is changed');
    for (const node of readdirSync(STATE).filter((name) => /^node\d+$/.test(name))) wireToBridge(STATE, node);
    const kubectl = join(SCRIPTS, 'kubectl');
    await output([kubectl, '-n', 'kube-system', 'delete', 'pods', '--all'], { env: this.#env });
    await output([kubectl, '-n', 'kube-system', 'rollout', 'status', 'deployment/coredns', '--timeout=120s'], {
      env: this.#env,
      timeout: 150_000,
    });
  }
}

/**
 * Resolves when all have succeeded. Where one fails the others are ended first.
 * @throws Error about the first that failed
 */
async function together(parts: readonly (readonly [what: string, Running, timeout: number])[]): Promise<void> {
  const failures: Error[] = [];
  const ended = parts.map(async ([what, running, timeout]) => {
    const code = await running.exit(timeout);
    if (code === 0) return say(`${what} is there`);
    failures.push(new Error(`${what}: exit code ${code}\n${running.lines.slice(-20).join('\n')}`));
    for (const [, other] of parts) void other.stop();
  });
  await Promise.all(ended);
  if (failures[0] !== undefined) throw failures[0];
}

/** What of a cluster is on this machine: network namespaces, mounts and cgroups. */
function leftOvers(): readonly string[] {
  const namespaces = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout.split('\n');
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  const cgroups = globSync('/sys/fs/cgroup/*/pfc[0-9]*');
  return [
    ...namespaces.filter((name) => /^pfc\d/.test(name)).map((name) => `network namespace ${name}`),
    ...mounts
      .filter((mount) => /\/pfc\d/.test(mount) || mount.startsWith(`${STATE}/node`))
      .map((mount) => `mount ${mount}`),
    ...cgroups.map((cgroup) => `cgroup ${cgroup}`),
  ];
}

/**
 * A real cluster on this machine, without a container engine: network namespaces as its nodes, real
 * kubelets. The scripts that bring it up are in ../shared/cluster beside the checkout; its README
 * says what they make.
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
/** Where the scripts keep binaries, images and running state; the variable PFC overrides it. */
const STATE = process.env.PFC ?? '/var/lib/pfc';
const IMAGE = 'podfence:dev';

/** A way to bring the cluster up. */
export interface Variant {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  /** Uses the CNI plugin bridge in place of ptp. */
  readonly bridge?: true;
}

/** With containerd 2, as kind's nodes have it. */
export const PLAIN: Variant = { name: 'plain', env: { CTR: '2' } };

export const VARIANTS: readonly Variant[] = [
  { name: 'nftables', env: { CTR: '2', PROXY_MODE: 'nftables' } },
  { name: 'dual-stack', env: { CTR: '2', DUAL: '1' } },
  { name: 'containerd-1.6', env: {} },
  { name: 'bridge', env: { CTR: '2' }, bridge: true },
];

/** Returns why no cluster can be brought up here; undefined if one can. */
export function obstacle(): string | undefined {
  if (!existsSync(join(SCRIPTS, 'up')))
    return 'no kubeconfig is given, and no scripts for a cluster are beside the checkout';
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'a cluster on this machine needs root on Linux';
  return undefined;
}

/** Whether a cluster is up that this run did not start. */
export function isUp(): boolean {
  const namespaces = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout;
  return /^pfc\d/m.test(namespaces ?? '');
}

export class MachineCluster {
  readonly target: ClusterTarget;
  readonly #variant: Variant;
  readonly #wasThere = existsSync(STATE);
  /** Images and binaries of an earlier run are not ours to remove. */
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

  /**
   * Brings the cluster up and builds podfence's image at the same time, then loads the image into
   * every node.
   */
  async start(): Promise<void> {
    const root = mkdtempSync(join(tmpdir(), 'podfence-image-'));
    const steps = join(PROJECT, 'test', 'deploy', 'dockerfile-steps.mjs');
    try {
      await together([
        ['the cluster', this.#up(), 300_000],
        ['the image', new Running([process.execPath, steps, '--root', root], { echo: /^\[\w+\] / }), 900_000],
      ]);
      if (this.#variant.bridge) await this.#useBridge();
      say('the image is loaded into every node');
      // Also under the name in daemonset/base.
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
   * Takes the cluster down and removes everything that was not there before.
   * @throws Error that names what is left; the state then stays, so that the cause can be found
   */
  async stop(): Promise<void> {
    say('the cluster is taken down');
    await output([join(SCRIPTS, 'down')], { env: this.#env, quiet: true });
    // A process that was just killed may still keep a cgroup.
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

  /** Connects pods to a bridge, as many CNIs do, instead of by ptp; recreates the running pods. */
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
 * Resolves when all have succeeded. If one fails, ends the others first.
 * @throws Error about the first that failed
 */
async function together(parts: readonly (readonly [what: string, Running, timeout: number])[]): Promise<void> {
  const failures: Error[] = [];
  const ended = parts.map(async ([what, running, timeout]) => {
    const code = await running.exit(timeout);
    if (code === 0) return say(`${what} is ready`);
    failures.push(new Error(`${what}: exit code ${code}\n${running.lines.slice(-20).join('\n')}`));
    for (const [, other] of parts) void other.stop();
  });
  await Promise.all(ended);
  if (failures[0] !== undefined) throw failures[0];
}

/** Returns what exists of a cluster on this machine: network namespaces, mounts and cgroups. */
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

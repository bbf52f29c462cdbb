/**
 * A real cluster on this machine, without a container engine: network namespaces for its nodes, real kubelets. The scripts that bring
 * it up lie beside the checkout, in ../shared/cluster; its README says what they make.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PROJECT } from './cluster.ts';
import { wireToBridge } from './machine.ts';
import { output, Running, run, say } from './shell.ts';
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

  constructor(variant: Variant, artifacts: string) {
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
      artifacts,
    };
  }

  /** Brings the cluster up and builds podfence's image meanwhile, then gives the image to every node. */
  async start(): Promise<void> {
    const root = mkdtempSync(join(tmpdir(), 'podfence-image-'));
    try {
      const up = this.#script('up', ['2'], /^\d\d:\d\d:\d\d|^installing/);
      const built = carryOutDockerfile(root);
      await up;
      if (this.#variant.bridge) await this.#useBridge();
      await built;
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

  /** Ends all of it; what was not there before goes. */
  async stop(): Promise<void> {
    say('the cluster is taken down');
    await run([join(SCRIPTS, 'down')], { env: this.#env, quiet: true });
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

  async #script(name: string, args: readonly string[], shown: RegExp): Promise<void> {
    const script = new Running([join(SCRIPTS, name), ...args], { env: this.#env });
    let said = 0;
    const timer = setInterval(() => {
      for (const line of script.lines.slice(said))
        if (shown.test(line)) say(line.replace(/^\d\d:\d\d:\d\d /, `${name}: `));
      said = script.lines.length;
    }, 500);
    const code = await script.exit(300_000);
    clearInterval(timer);
    if (code !== 0) throw new Error(`${name} ended with exit code ${code}:\n${script.lines.slice(-20).join('\n')}`);
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

/** The Dockerfile's steps; the finished root is left in the folder. */
async function carryOutDockerfile(root: string): Promise<void> {
  const steps = join(PROJECT, 'test', 'deploy', 'dockerfile-steps.mjs');
  const build = new Running([process.execPath, steps, '--root', root], { echo: /^\[\w+\] / });
  const code = await build.exit(900_000);
  if (code !== 0) throw new Error(`the image could not be built:\n${build.lines.slice(-20).join('\n')}`);
  say('the image is built');
}

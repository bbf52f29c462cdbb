/** The cluster of a run, for its tests: kubectl, the command line, nodes. */
import { chmodSync, existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { type Finished, output, Running, type RunOptions, run } from './shell.ts';
import { type ClusterTarget, prefixOfNode, targetOfRun } from './target.ts';

export const PROJECT = resolve(import.meta.dirname, '..', '..');
const CLI = join(PROJECT, 'src', 'cli.ts');

/** The fields of API objects that the tests use. */
export interface ApiObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>> & { readonly nodeName?: string; readonly clusterIP?: string };
  readonly status: Readonly<Record<string, unknown>> & {
    readonly phase?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
  };
}

/**
 * Returns the path of a program; undefined if it is not in PATH. Shims of the same name call the
 * program by this path.
 */
export function inPath(program: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).map((folder) => resolve(folder));
  return folders.map((folder) => join(folder, program)).find((file) => existsSync(file));
}

/** The fields of an agent's `/status` that the tests use. */
export interface AgentStatus {
  readonly node: string;
  readonly source: { readonly kinds: readonly { kind: string; restarts: Readonly<Record<string, number>> }[] };
  readonly lag: { readonly lastChange: { readonly at: string } | null };
  readonly findings: readonly unknown[];
  readonly podStarts: {
    readonly state: string;
    readonly inForce: number;
    readonly refused: number;
    readonly unjudged: number;
    readonly lastWaitSeconds: number | null;
  };
}

export class Cluster {
  readonly target: ClusterTarget;
  #shims: string | undefined;

  constructor(target = targetOfRun()) {
    this.target = target;
  }

  /** Runs kubectl with an administrator's rights; fails if kubectl fails. */
  kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return output(this.kubectlCommand(args), options);
  }

  kubectlCommand(args: readonly string[]): string[] {
    const { enter, kubectl, kubeconfig } = this.target;
    return [...enter, kubectl, '--kubeconfig', kubeconfig, ...args];
  }

  async apply(manifest: string, ...args: readonly string[]): Promise<void> {
    await this.kubectl(['apply', '-f', '-', ...args], { input: manifest });
  }

  async get(kind: string, name: string, namespace?: string): Promise<ApiObject> {
    const where = namespace === undefined ? [] : ['-n', namespace];
    return JSON.parse(await this.kubectl(['get', kind, name, ...where, '-o', 'json'], { quiet: true })) as ApiObject;
  }

  async list(kind: string, ...args: readonly string[]): Promise<readonly ApiObject[]> {
    const text = await this.kubectl(['get', kind, ...args, '-o', 'json'], { quiet: true });
    return (JSON.parse(text) as { items: readonly ApiObject[] }).items;
  }

  async hasNamespace(name: string): Promise<boolean> {
    return (await this.list('namespaces', `--field-selector=metadata.name=${name}`)).length > 0;
  }

  /** Returns podfence's command line in the checkout, run where the API server is reachable. */
  podfenceCommand(args: readonly string[]): string[] {
    return [...this.target.enter, process.execPath, CLI, ...args];
  }

  /** Returns the names of the nodes that run pods, sorted. */
  async nodes(): Promise<readonly string[]> {
    const nodes = await this.list('nodes');
    return nodes
      .filter(({ spec }) => spec.unschedulable !== true && spec.taints === undefined)
      .map(({ metadata }) => metadata.name)
      .sort();
  }

  /** Returns the container runtime of each node that runs pods: `containerd://2.2.0`. */
  async runtimes(): Promise<readonly string[]> {
    const names = await this.nodes();
    const nodes = (await this.list('nodes')).filter(({ metadata }) => names.includes(metadata.name));
    return nodes.map(({ status }) =>
      String((status.nodeInfo as { containerRuntimeVersion?: string })?.containerRuntimeVersion),
    );
  }

  /**
   * Runs a shell script as root on a node. Only possible if the caller has named a way onto the
   * nodes.
   */
  async onNode(node: string, script: string, options: RunOptions = {}): Promise<string> {
    return output(this.nodeCommand(node, script), options);
  }

  nodeCommand(node: string, script: string): string[] {
    const { onNode } = this.target;
    if (onNode === undefined) throw new Error('no way onto the nodes was named');
    return [...prefixOfNode(onNode, node), 'sh', '-c', script];
  }

  /** Returns the agents' pods, by node. */
  async agents(): Promise<ReadonlyMap<string, ApiObject>> {
    const pods = await this.list('pods', '-n', 'podfence-system', '-l', 'app.kubernetes.io/name=podfence');
    return new Map(pods.map((pod) => [pod.spec.nodeName ?? '', pod]));
  }

  /** Returns the path of an agent's HTTP endpoint in the API server's proxy. */
  agentUrl(pod: string, path: string): string {
    return `/api/v1/namespaces/podfence-system/pods/${pod}:9464/proxy${path}`;
  }

  /** Returns the status of a node's agent. */
  async statusOf(node: string): Promise<AgentStatus> {
    const url = this.agentUrl((await this.agents()).get(node)?.metadata.name ?? '', '/status');
    return JSON.parse(await this.kubectl(['get', '--raw', url], { quiet: true })) as AgentStatus;
  }

  /** The path of helm; undefined if there is none. */
  get helm(): string | undefined {
    const { state } = this.target;
    const own = state === undefined ? undefined : join(state, 'bin', 'helm');
    return own !== undefined && existsSync(own) ? own : inPath('helm');
  }

  /**
   * Returns a folder with kubectl, podfence and curl as the documents call them. With this folder
   * first in PATH, a documented command runs as it is written.
   */
  shims(): string {
    if (this.#shims !== undefined) return this.#shims;
    const folder = mkdtempSync(join(this.target.temporary, 'shims-'));
    const { enter } = this.target;
    const shim = (name: string, command: readonly string[]) => {
      const words = command.map((word) => `'${word}'`).join(' ');
      writeFileSync(join(folder, name), `#!/bin/sh\nexec ${words} "$@"\n`);
      chmodSync(join(folder, name), 0o755);
    };
    shim('kubectl', this.kubectlCommand([]));
    if (this.helm !== undefined) shim('helm', [...enter, this.helm]);
    shim('podfence', this.podfenceCommand([]));
    // By its path: by its name the shim would find itself.
    shim('curl', [...enter, inPath('curl') ?? '/usr/bin/curl', '-sS']);
    this.#shims = folder;
    return folder;
  }

  /** Runs a documented command as it is written, in the checkout. */
  asDocumented(command: string, options: RunOptions = {}): Promise<Finished> {
    return run(['sh', '-c', command], { ...this.#documented(), ...options });
  }

  /** Does the same for a command that runs until it is ended. */
  runningAsDocumented(command: string): Running {
    return new Running(['sh', '-c', `exec ${command}`], this.#documented());
  }

  #documented(): RunOptions {
    const { kubeconfig } = this.target;
    const PATH = `${this.shims()}:${process.env.PATH}`;
    return { cwd: PROJECT, env: { ...process.env, KUBECONFIG: kubeconfig, PATH } };
  }
}

/** The cluster of a run, for its tests: kubectl, the command line, nodes. */
import { chmodSync, existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { type Finished, output, Running, type RunOptions, run } from './shell.ts';
import { type ClusterTarget, prefixOfNode, targetOfRun } from './target.ts';

export const PROJECT = resolve(import.meta.dirname, '..', '..');
const CLI = join(PROJECT, 'src', 'cli.ts');

/** Fields of API objects that the tests look at. */
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
 * The path of a program; undefined where PATH has none. A shim of the same name calls it by this.
 */
export function inPath(program: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).map((folder) => resolve(folder));
  return folders.map((folder) => join(folder, program)).find((file) => existsSync(file));
}

/** What the tests look at in an agent's `/status`. */
export interface AgentStatus {
  readonly node: string;
  readonly source: { readonly kinds: readonly { kind: string; restarts: Readonly<Record<string, number>> }[] };
  readonly lag: { readonly lastChange: { readonly at: string } | null };
  readonly findings: readonly unknown[];
}

export class Cluster {
  readonly target: ClusterTarget;
  #shims: string | undefined;

  constructor(target = targetOfRun()) {
    this.target = target;
  }

  /** kubectl with an administrator's rights; fails where kubectl does. */
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

  /** An object, or a list's items by `selector`. */
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

  /** podfence's command line from the checkout, where the API server is reachable. */
  podfenceCommand(args: readonly string[]): string[] {
    return [...this.target.enter, process.execPath, CLI, ...args];
  }

  /** Names of the nodes that run pods, sorted. */
  async nodes(): Promise<readonly string[]> {
    const nodes = await this.list('nodes');
    return nodes
      .filter(({ spec }) => spec.unschedulable !== true && spec.taints === undefined)
      .map(({ metadata }) => metadata.name)
      .sort();
  }

  /** Runs a shell script as root on a node. Only where the caller has named a way. */
  async onNode(node: string, script: string, options: RunOptions = {}): Promise<string> {
    return output(this.nodeCommand(node, script), options);
  }

  nodeCommand(node: string, script: string): string[] {
    const { onNode } = this.target;
    if (onNode === undefined) throw new Error('no way onto the nodes was named');
    return [...prefixOfNode(onNode, node), 'sh', '-c', script];
  }

  /** The agents' pods, by node. */
  async agents(): Promise<ReadonlyMap<string, ApiObject>> {
    const pods = await this.list('pods', '-n', 'podfence-system', '-l', 'app.kubernetes.io/name=podfence');
    return new Map(pods.map((pod) => [pod.spec.nodeName ?? '', pod]));
  }

  /** Where the API server's proxy has an agent's HTTP endpoint. */
  agentUrl(pod: string, path: string): string {
    return `/api/v1/namespaces/podfence-system/pods/${pod}:9464/proxy${path}`;
  }

  /** What the agent of a node says of itself. */
  async statusOf(node: string): Promise<AgentStatus> {
    const url = this.agentUrl((await this.agents()).get(node)?.metadata.name ?? '', '/status');
    return JSON.parse(await this.kubectl(['get', '--raw', url], { quiet: true })) as AgentStatus;
  }

  /** The helm to call; undefined where there is none. */
  get helm(): string | undefined {
    const { state } = this.target;
    const own = state === undefined ? undefined : join(state, 'bin', 'helm');
    return own !== undefined && existsSync(own) ? own : inPath('helm');
  }

  /**
   * A folder with kubectl, podfence and curl as the documents call them. With it first in PATH, a
   * documented command runs as it stands.
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
    // By its path, or it would find itself again.
    shim('curl', [...enter, inPath('curl') ?? '/usr/bin/curl', '-sS']);
    this.#shims = folder;
    return folder;
  }

  /** Runs a documented command as it stands, in the checkout. */
  asDocumented(command: string, options: RunOptions = {}): Promise<Finished> {
    return run(['sh', '-c', command], { ...this.#documented(), ...options });
  }

  /** The same for one that goes on until it is ended. */
  runningAsDocumented(command: string): Running {
    return new Running(['sh', '-c', `exec ${command}`], this.#documented());
  }

  #documented(): RunOptions {
    const { kubeconfig } = this.target;
    const PATH = `${this.shims()}:${process.env.PATH}`;
    return { cwd: PROJECT, env: { ...process.env, KUBECONFIG: kubeconfig, PATH } };
  }
}

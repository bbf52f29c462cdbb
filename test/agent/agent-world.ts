/**
 * One node as in a real cluster: pods in network namespaces, an API server that knows them and, if
 * a test starts it, the agent's own process. A test changes the cluster at the API server; the
 * network stays as it is.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { projectNamespace, projectPod } from '../../src/cluster/projection.ts';
import type { PodRecord } from '../../src/cluster/records.ts';
import { Lab, type LabHost } from '../../src/lab/lab.ts';
import type { ApiServerOptions } from '../kube/api-server.ts';
import { type ApiServerProcess, startApiServerProcess } from '../kube/api-server-process.ts';
import type { ApiObject } from '../kube/object-history.ts';
import { namespace, type PodShape, pod } from '../kube/objects.ts';
import { RunningAgent } from './running-agent.ts';

export const NODE = 'node-1';

const SHOP = namespace('shop', { team: 'shop' });
export const VISITORS = namespace('visitors', { team: 'trusted' });
export const SERVER = pod('shop', 'server', { ip: '10.244.1.1', ports: webPorts(7001) });
export const CLIENT = pod('shop', 'client', { ip: '10.244.1.2' });
const FRIEND = pod('shop', 'friend', { ip: '10.244.1.3' });
const VISITOR = pod('visitors', 'visitor', { ip: '10.244.1.4' });
/** No policy ever allows it. */
const STRANGER = pod('shop', 'stranger', { ip: '10.244.1.5' });
const OBJECTS = [SHOP, VISITORS, SERVER, CLIENT, FRIEND, VISITOR, STRANGER];

/**
 * Returns a TCP port named `web` and, as in Connections, the next port for UDP, named `web-udp`.
 */
export function webPorts(port: number): NonNullable<PodShape['ports']> {
  return [
    { name: 'web', containerPort: port, protocol: 'TCP' },
    { name: 'web-udp', containerPort: port + 1, protocol: 'UDP' },
  ];
}

/** Returns the same pod with other labels. */
export function relabelled(object: ApiObject, labels: Readonly<Record<string, string>>): ApiObject {
  return { ...object, metadata: { ...object.metadata, labels } };
}

/** How the cluster differs from the pods and namespaces above. */
export interface Differences {
  readonly others?: readonly ApiObject[];
  readonly without?: readonly ApiObject[];
}

export class AgentWorld implements AsyncDisposable {
  readonly lab: Lab;
  readonly node: LabHost;
  readonly api: ApiServerProcess;
  /** Contains the kubeconfig. */
  readonly folder: string;
  readonly #agents: RunningAgent[] = [];
  /** The objects at the API server. */
  #objects: ReadonlyMap<string, ApiObject> = new Map();

  private constructor(lab: Lab, api: ApiServerProcess, folder: string) {
    this.lab = lab;
    this.node = lab.node(NODE);
    this.api = api;
    this.folder = folder;
  }

  /** Starts the pods above in their namespaces and at the API server, with `policies`; no agent. */
  static async start(policies: readonly ApiObject[] = [], server: ApiServerOptions = {}): Promise<AgentWorld> {
    const snapshot = {
      namespaces: OBJECTS.flatMap((object) =>
        object.kind === 'Namespace' ? (projectNamespace(object).record ?? []) : [],
      ),
      pods: OBJECTS.flatMap((object) => (object.kind === 'Pod' ? labPod(object) : [])),
      policies: [],
    };
    const lab = await Lab.start({ manifests: { snapshot, services: [] }, nodes: [NODE], agents: false });
    // fork() is called before `run` returns, so the server is in the node's namespace.
    const api = await lab.node(NODE).netns.run(() => startApiServerProcess(server));
    const world = new AgentWorld(lab, api, mkdtempSync(join(tmpdir(), 'podfence-agent-')));
    await world.become(policies);
    writeFileSync(world.kubeConfig, await api.call('kubeConfig'));
    return world;
  }

  /** Environment variables that agents get in addition to ours. */
  environment: Readonly<Record<string, string>> = {};

  get kubeConfig(): string {
    return join(this.folder, 'kubeconfig');
  }

  /** Starts the agent, which is not ready yet. */
  spawnAgent(...flags: readonly string[]): RunningAgent {
    const all = ['--kubeconfig', this.kubeConfig, '--node-name', NODE, ...flags];
    const agent = new RunningAgent(this.node, all, this.environment);
    this.#agents.push(agent);
    return agent;
  }

  /** Starts the agent; resolves when it is ready. */
  startAgent(...flags: readonly string[]): Promise<RunningAgent> {
    return this.spawnAgent(...flags).ready();
  }

  /**
   * Replaces the policies. The pods are those above; pods in `others` are added or replace pods of
   * the same name, and those in `without` are removed. Returns how many objects differ from before.
   */
  async become(policies: readonly ApiObject[], { others = [], without = [] }: Differences = {}): Promise<number> {
    const gone = new Set(without.map(keyOf));
    const wanted = [...OBJECTS.filter((object) => !gone.has(keyOf(object))), ...others, ...policies];
    const objects = new Map(wanted.map((object) => [keyOf(object), object]));
    const deleted = [...this.#objects].filter(([key]) => !objects.has(key));
    const changed = [...objects].filter(([key, object]) => this.#objects.get(key) !== object);
    this.#objects = objects;
    for (const [, { kind, metadata }] of deleted)
      await this.api.call('delete', kind, metadata.namespace, metadata.name);
    await this.set(...changed.map(([, object]) => object));
    return deleted.length + changed.length;
  }

  /** Does the same, and resolves when it is in force at the agent. */
  async change(agent: RunningAgent, policies: readonly ApiObject[], differences: Differences = {}): Promise<void> {
    await agent.inForce(() => this.become(policies, differences));
  }

  /** Ends all running agents. */
  async killAgents(): Promise<void> {
    await Promise.all(this.#agents.splice(0).map((agent) => agent.end()));
  }

  /** Creates or replaces objects at the API server, in addition to those of `become`. */
  async set(...objects: readonly ApiObject[]): Promise<void> {
    await Promise.all(objects.map((object) => this.api.call('set', object)));
  }

  /** Runs a program on the node; returns its output, and throws if it fails. */
  async onNode(...command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.lab.exec(this.node, command);
    if (code !== 0) throw new Error(`${command.join(' ')} failed (${code}): ${stderr}`);
    return stdout;
  }

  /** Writes a configuration file; returns its path. */
  configFile(settings: object): string {
    const path = join(this.folder, 'config.yaml');
    writeFileSync(path, stringify(settings));
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAgents();
    await this.api.stop();
    await this.lab.stop();
    rmSync(this.folder, { recursive: true });
  }
}

/** A pod for the network only: without ports, so that the lab does not listen where tests do. */
function labPod(object: ApiObject): readonly PodRecord[] {
  const { record } = projectPod(object);
  return record === undefined ? [] : [{ ...record, ports: [] }];
}

function keyOf({ kind, metadata }: ApiObject): string {
  return `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
}

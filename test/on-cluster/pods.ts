/** Pods of the suite: servers that answer with their name, and clients that ask them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiObject, Cluster } from './cluster.ts';
import { Running } from './shell.ts';
import { until } from './until.ts';

const PROGRAMS = join(import.meta.dirname, 'programs');

export interface PodOptions {
  readonly labels?: Readonly<Record<string, string>>;
  readonly node?: string;
  /** Ports of the container; they have names for named ports. */
  readonly ports?: readonly Readonly<Record<string, unknown>>[];
  readonly hostNetwork?: boolean;
  /** Further fields of the container, such as probes. */
  readonly container?: Readonly<Record<string, unknown>>;
  /** Arguments of serve.ts. @default TCP and UDP on 8080 */
  readonly serve?: readonly string[];
  /** A program of the suite and its arguments, instead of serve.ts. */
  readonly program?: readonly string[];
}

/** Label of every namespace that the suite creates. */
export const OF_THE_SUITE = { 'podfence.io/made-by': 'test-cluster' };

/** The outcome of a question: the answering pod's name, `refused`, `silent`, or `error CODE`. */
export type Outcome = string;

/** A namespace of a test, with the programs that its pods run. */
export class Namespace {
  readonly cluster: Cluster;
  readonly name: string;
  readonly #askers = new Map<string, Asker>();

  private constructor(cluster: Cluster, name: string) {
    this.cluster = cluster;
    this.name = name;
  }

  /**
   * Creates a namespace named `podfence-test-` and `purpose`.
   * @throws Error if there is one of that name
   */
  static async create(
    cluster: Cluster,
    purpose: string,
    labels: Readonly<Record<string, string>> = {},
  ): Promise<Namespace> {
    const name = `podfence-test-${purpose}`;
    const metadata = { name, labels: { ...labels, ...OF_THE_SUITE } };
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata });
    await cluster.kubectl(['create', '-f', '-'], { input });
    const data = Object.fromEntries(
      readdirSync(PROGRAMS).map((file) => [file, readFileSync(join(PROGRAMS, file), 'utf8')]),
    );
    const programs = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'programs', namespace: name }, data };
    await cluster.apply(JSON.stringify(programs));
    return new Namespace(cluster, name);
  }

  async delete(): Promise<void> {
    await Promise.all(Array.from(this.#askers.values(), (asker) => asker.stop()));
    await this.cluster.kubectl(['delete', 'namespace', this.name, '--ignore-not-found', '--timeout=60s']);
  }

  /** Runs kubectl in this namespace. */
  kubectl(...args: readonly string[]): Promise<string> {
    return this.cluster.kubectl(['-n', this.name, ...args]);
  }

  /** Applies manifests of objects in this namespace. */
  async apply(...objects: readonly object[]): Promise<void> {
    for (const object of objects) await this.cluster.apply(JSON.stringify(object), '-n', this.name);
  }

  /** Applies a NetworkPolicy by its spec. */
  async policy(name: string, spec: object): Promise<void> {
    await this.apply({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name }, spec });
  }

  /** Returns the pod template of a Deployment or StatefulSet. */
  template({ labels = {}, node, ports = [], hostNetwork, container = {}, serve, program }: PodOptions): object {
    const command = program ?? ['serve.ts', ...(serve ?? ['tcp:8080', 'udp:8080'])];
    // Ready means that it listens. The kubelet stops probing once it does.
    const listens = /^(?:tcp|http):(\d+)$/.exec(command.find((word) => /^(tcp|http):/.test(word)) ?? '')?.[1];
    const startupProbe = { tcpSocket: { port: Number(listens) }, periodSeconds: 1, failureThreshold: 60 };
    return {
      metadata: { labels },
      spec: {
        terminationGracePeriodSeconds: 1,
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        ...(hostNetwork === undefined ? {} : { hostNetwork }),
        ...(node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
        containers: [
          {
            name: 'main',
            image: this.cluster.target.image,
            imagePullPolicy: 'IfNotPresent',
            command: ['node', `/programs/${command[0]}`, ...command.slice(1)],
            ports,
            volumeMounts: [{ name: 'programs', mountPath: '/programs' }],
            ...(listens === undefined || program !== undefined || 'command' in container ? {} : { startupProbe }),
            ...container,
          },
        ],
        volumes: [{ name: 'programs', configMap: { name: 'programs' } }],
      },
    };
  }

  /** Starts pods, all at once, and resolves when all are ready. */
  async pods(pods: Readonly<Record<string, PodOptions>>): Promise<void> {
    const items = Object.entries(pods).map(([name, options]) => {
      const { metadata, spec } = this.template(options) as { metadata: object; spec: object };
      return { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name }, spec };
    });
    await this.apply({ apiVersion: 'v1', kind: 'List', items });
    await this.kubectl('wait', '--for=condition=Ready', '--timeout=90s', 'pod', ...Object.keys(pods));
  }

  pod(name: string): Promise<ApiObject> {
    return this.cluster.get('pod', name, this.name);
  }

  async addressOf(name: string): Promise<string> {
    const address = (await this.pod(name)).status.podIP;
    if (address === undefined) throw new Error(`pod ${this.name}/${name} has no address`);
    return address;
  }

  /**
   * Asks all targets at once from a pod: `tcp:HOST:PORT`, `udp:HOST:PORT`. One process in the pod
   * asks all questions, so that each costs next to nothing.
   * @param timeout in ms, after which a target counts as silent
   */
  async ask(pod: string, targets: readonly string[], timeout = 1500): Promise<readonly Outcome[]> {
    const asker = this.#askers.get(pod) ?? new Asker(this.#program(pod, 'ask.ts'));
    this.#askers.set(pod, asker);
    try {
      return await asker.ask(targets, timeout);
    } catch (error) {
      // The pod, its runtime or the API server is gone: the next question starts a new process.
      this.#askers.delete(pod);
      await asker.stop();
      throw error;
    }
  }

  /** Asks again until the outcomes are as expected. @throws Error with the last ones */
  async asks(pod: string, expected: Readonly<Record<string, Outcome | RegExp>>, patience?: number): Promise<void> {
    const targets = Object.keys(expected);
    let last: readonly Outcome[] = [];
    const holds = async () => {
      last = await this.ask(pod, targets).catch((error: Error) => targets.map(() => error.message));
      return last.every((outcome, i) => matches(outcome, expected[targets[i] ?? ''] ?? ''));
    };
    const state = () => targets.map((target, i) => `${target} ${last[i]}`).join(', ');
    await until(`${this.name}/${pod} gets ${Object.entries(expected).join(' ')}`, holds, state, patience);
  }

  /** Opens a stream from a running pod, in a separate process there. */
  stream(pod: string, host: string, port: number): Stream {
    return new Stream(this.#program(pod, 'stream.ts', host, port));
  }

  /**
   * Follows the output of a pod's own program on its node: this works without the API server and
   * the runtime.
   */
  followed<T extends Reporting>(Kind: new (command: readonly string[]) => T, pod: string, node: string): T {
    const log = `/var/log/pods/${this.name}_${pod}_*/main/*.log`;
    return new Kind(this.cluster.nodeCommand(node, `exec tail -n +1 -F ${log}`));
  }

  #program(pod: string, file: string, ...args: readonly (string | number)[]): string[] {
    const command = ['node', `/programs/${file}`, ...args.map(String)];
    return this.cluster.kubectlCommand(['exec', '-i', '-n', this.name, pod, '--', ...command]);
  }
}

function matches(outcome: Outcome, expected: Outcome | RegExp): boolean {
  return typeof expected === 'string' ? outcome === expected : expected.test(outcome);
}

/** programs/ask.ts in a pod, which takes one question after the other. */
class Asker {
  readonly #running: Running;
  #last: Promise<unknown> = Promise.resolve();

  constructor(command: readonly string[]) {
    this.#running = new Running(command, { input: '' });
  }

  ask(targets: readonly string[], timeout: number): Promise<readonly Outcome[]> {
    const answer = this.#last.then(async () => {
      const from = this.#running.lines.length;
      this.#running.write(`${JSON.stringify([String(timeout), ...targets])}\n`);
      return JSON.parse(
        await this.#running.line(/^\[|error|closed|refused/i, { from, timeout: timeout + 10_000 }),
      ) as Outcome[];
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }
}

/** A program in a pod that reports in lines of JSON; it ends with the test. */
export class Reporting {
  readonly running: Running;

  constructor(command: readonly string[]) {
    this.running = new Running(command);
  }

  /** Returns the last value of a field. */
  protected last<T>(field: string): T | undefined {
    const line = this.running.lines.findLast((each) => each.includes(`{"${field}"`));
    // In a runtime's log, the time and the stream come first.
    const json = line?.slice(line.indexOf('{'));
    return json === undefined ? undefined : ((JSON.parse(json) as Record<string, T>)[field] as T);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running.stop();
  }
}

/** One TCP connection that asks ten times a second; see programs/stream.ts. */
export class Stream extends Reporting {
  /** The number of the last answer. */
  get answered(): number {
    return this.last<number>('answered') ?? 0;
  }

  /** How the connection ended; undefined while it is open. */
  get ended(): string | undefined {
    return this.last<string>('ended');
  }

  /** Resolves after the next `count` answers. */
  async goesOn(count = 5): Promise<void> {
    const wanted = this.answered + count;
    await until(
      `the stream has answer ${wanted}`,
      () => this.answered >= wanted,
      () => this.#state(),
    );
  }

  /**
   * Resolves when no answer has arrived for a second and a half: fifteen questions without an
   * answer.
   */
  async fallsSilent(): Promise<void> {
    let last = this.answered;
    let since = performance.now();
    const silent = () => {
      if (this.answered !== last) {
        last = this.answered;
        since = performance.now();
      }
      return performance.now() - since > 1500;
    };
    await until('the stream falls silent', silent, () => this.#state());
  }

  #state(): string {
    return `${this.answered} answers${this.ended === undefined ? '' : `, ended: ${this.ended}`}`;
  }
}

/** New connections, 20 a second; see programs/knock.ts. */
export class Knocking extends Reporting {
  get tried(): number {
    return this.last<number>('tried') ?? 0;
  }

  get answered(): number {
    return this.last<number>('answered') ?? 0;
  }

  /** Resolves after `count` more connections were tried. */
  async goesOn(count = 40): Promise<void> {
    const wanted = this.tried + count;
    await until(
      `${wanted} connections were tried`,
      () => this.tried >= wanted,
      () => `${this.tried} were`,
    );
  }
}

/**
 * A fake cluster for canaries: an API server over real HTTP that accepts their objects, and pods
 * that report what a test decides for each pair. Its clock runs faster than real time. Each attempt
 * is computed for the moment of its start, so the results do not depend on when this process runs.
 */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Family } from '../../src/canary/plan.ts';
import {
  LIMIT,
  LINE_INTERVAL,
  type PodLine,
  type PodTask,
  RESULTS,
  type Result,
  type Target,
} from '../../src/canary/report-line.ts';
import type { Clock } from '../../src/kube/clock.ts';

/** An attempt of a pod, as of its start. */
export interface Asked {
  readonly from: string;
  readonly to: string;
  readonly target: Target;
  /** Policies that exist, by name, and for how many ms. */
  readonly policies: ReadonlyMap<string, number>;
  /** Age of the probing pod, in ms. */
  readonly age: number;
  /** Whether the policies existed and were deleted. */
  readonly isAfter: boolean;
}

export interface FakeClusterOptions {
  readonly nodes?: readonly object[];
  readonly families?: readonly Family[];
  /** Factor by which the clock runs faster than real time. @default 20 */
  readonly speed?: number;
  /** @default everything is answered */
  readonly answer?: (asked: Asked) => Result;
  /** The status of a pod's container. @default it runs */
  readonly containerState?: (pod: string) => object | undefined;
}

interface FakePod {
  readonly name: string;
  readonly index: number;
  readonly object: { readonly spec: { readonly containers: readonly { readonly args: readonly string[] }[] } };
  readonly task: PodTask;
  readonly started: number;
  /** Start of the next attempt at each target, by the pod's clock. */
  readonly next: number[];
  readonly underWay: { target: number; start: number; end: number; result: number }[];
  readonly lines: string[];
  readonly readers: Set<ServerResponse>;
}

interface PolicyChange {
  readonly at: number;
  readonly name: string;
  readonly type: 'set' | 'delete';
}

export class FakeCluster {
  readonly clock: Clock;
  readonly namespaces = new Set<string>();
  /** Objects as they were created, by kind. */
  readonly created: { readonly kind: string; readonly object: Record<string, never> }[] = [];
  readonly #options: FakeClusterOptions;
  readonly #server: http.Server;
  readonly #sockets = new Set<Socket>();
  readonly #pods = new Map<string, FakePod>();
  readonly #changes: PolicyChange[] = [];
  readonly #faults: {
    readonly method: string;
    readonly path: RegExp;
    readonly fault: number | 'lose the answer';
    readonly isLasting?: true;
  }[] = [];
  readonly #listeners = new Set<(request: { readonly method: string; readonly path: string }) => void>();
  readonly #waiting: { readonly test: () => boolean; readonly resolve: () => void }[] = [];
  #writer: NodeJS.Timeout | undefined;
  #port = 0;

  static async start(options: FakeClusterOptions = {}): Promise<FakeCluster> {
    const cluster = new FakeCluster(options);
    await cluster.comeBack();
    return cluster;
  }

  private constructor(options: FakeClusterOptions) {
    this.#options = options;
    const speed = options.speed ?? 20;
    this.clock = {
      now: () => performance.now() * speed,
      after: (milliseconds, callback) => {
        const timer = setTimeout(callback, milliseconds / speed);
        return () => clearTimeout(timer);
      },
    };
    this.#server = http.createServer((request, response) => void this.#handle(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#writer = setInterval(() => this.#write(), LINE_INTERVAL / speed);
  }

  kubeConfig(): string {
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      clusters: [
        { name: 'test', cluster: { server: `http://127.0.0.1:${this.#port}`, 'insecure-skip-tls-verify': true } },
      ],
      users: [{ name: 'test', user: { token: 'secret' } }],
    });
  }

  /**
   * Answers the next request of this kind with an error status, or executes it and drops the
   * answer.
   */
  fail(method: string, path: RegExp, fault: number | 'lose the answer'): void {
    this.#faults.push({ method, path, fault });
  }

  /** Does the same to every request of this kind. */
  failAlways(method: string, path: RegExp, fault: number): void {
    this.#faults.push({ method, path, fault, isLasting: true });
  }

  /** Resolves with the next request of this kind. */
  async asked(method: string, path: RegExp): Promise<void> {
    let isAsked = false;
    this.#listeners.add((request) => {
      isAsked ||= request.method === method && path.test(request.path);
    });
    await this.until(() => isAsked);
  }

  /** Makes the API server unreachable until it comes back. Pods keep running. */
  async goAway(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.cutConnections();
    await promise;
  }

  async comeBack(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.listen(this.#port, '127.0.0.1', resolve);
    await promise;
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  cutConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    clearInterval(this.#writer);
    if (this.#server.listening) await this.goAway();
  }

  /** Resolves once `test` is true. It is tried after each request. */
  async until(test: () => boolean): Promise<void> {
    if (test()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ test, resolve });
    await promise;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://server');
    const method = request.method ?? '';
    let body = '';
    for await (const chunk of request) body += chunk;
    for (const listener of this.#listeners) listener({ method, path: pathname });
    const found = this.#faults.find((each) => each.method === method && each.path.test(pathname));
    if (found !== undefined && !found.isLasting) this.#faults.splice(this.#faults.indexOf(found), 1);
    const fault = found?.fault;
    if (typeof fault === 'number')
      send(response, fault, { kind: 'Status', code: fault, message: 'a fault of the test' });
    else {
      if (fault !== undefined) request.socket.destroy();
      this.#answer(method, pathname.split('/').filter(Boolean), body, response);
    }
    for (const each of [...this.#waiting]) {
      if (!each.test()) continue;
      this.#waiting.splice(this.#waiting.indexOf(each), 1);
      each.resolve();
    }
  }

  #answer(method: string, path: readonly string[], body: string, response: ServerResponse): unknown {
    if (path[0] === 'apis') return this.#answerPolicies(method, path, body, response);
    const [, , collection, namespace, kind, pod, log] = path;
    if (collection === 'nodes')
      return send(response, 200, { items: this.#options.nodes ?? [node('node-1'), node('node-2')] });
    if (namespace === undefined) {
      const object = JSON.parse(body);
      const { name } = object.metadata;
      if (this.namespaces.has(name)) return send(response, 409, {});
      this.namespaces.add(name);
      this.created.push({ kind: 'Namespace', object });
      return send(response, 201, object);
    }
    if (!this.namespaces.has(namespace)) return send(response, 404, {});
    if (kind === undefined && method === 'DELETE') {
      this.namespaces.delete(namespace);
      for (const each of this.#pods.values()) for (const reader of each.readers) reader.end();
      this.#pods.clear();
      return send(response, 200, {});
    }
    if (log === 'log') return this.#follow(pod ?? '', response);
    if (kind === 'pods' && method === 'POST') return this.#createPod(JSON.parse(body), response);
    if (kind === 'pods')
      return send(response, 200, { items: [...this.#pods.values()].map((each) => this.#podObject(each)) });
    return send(response, 404, {});
  }

  #answerPolicies(method: string, path: readonly string[], body: string, response: ServerResponse): unknown {
    const name = method === 'POST' ? (JSON.parse(body).metadata.name as string) : (path[6] ?? '');
    if (method === 'POST') this.created.push({ kind: 'NetworkPolicy', object: JSON.parse(body) });
    this.#changes.push({ at: this.clock.now(), name, type: method === 'POST' ? 'set' : 'delete' });
    return send(response, 200, {});
  }

  #createPod(
    object: FakePod['object'] & { readonly metadata: { readonly name: string } },
    response: ServerResponse,
  ): unknown {
    const { name } = object.metadata;
    if (this.#pods.has(name)) return send(response, 409, {});
    this.created.push({ kind: 'Pod', object: object as never });
    const task = JSON.parse(object.spec.containers[0]?.args[1] ?? '{}') as PodTask;
    this.#pods.set(name, {
      name,
      index: this.#pods.size + 1,
      object,
      task,
      started: this.clock.now(),
      next: task.targets.map(() => 0),
      underWay: [],
      lines: [],
      readers: new Set(),
    });
    return send(response, 201, object);
  }

  #podObject({ name, index, object }: FakePod): object {
    const state = this.#options.containerState?.(name) ?? { running: {} };
    const podIPs = (this.#options.families ?? ['IPv4']).map((family) => ({
      ip: family === 'IPv4' ? `10.0.0.${index}` : `fd00::${index}`,
    }));
    return { ...object, status: { podIPs, containerStatuses: [{ state }] } };
  }

  #follow(name: string, response: ServerResponse): unknown {
    const pod = this.#pods.get(name);
    if (pod === undefined) return send(response, 404, {});
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.write(`a warning of the runtime\n${pod.lines.join('')}`);
    pod.readers.add(response);
    return response.on('close', () => pod.readers.delete(response));
  }

  #write(): void {
    for (const pod of this.#pods.values()) {
      if (this.#options.containerState?.(pod.name) !== undefined) continue;
      const line = `${JSON.stringify(this.#line(pod))}\n`;
      pod.lines.push(line);
      for (const reader of pod.readers) reader.write(line);
    }
  }

  #line(pod: FakePod): PodLine {
    const now = this.clock.now() - pod.started;
    for (const [index, target] of pod.task.targets.entries()) {
      for (let start = pod.next[index] ?? 0; start <= now; start += target.interval) {
        const result = this.#resultOf(pod, target, start);
        const end = start + (result === 'silent' ? LIMIT : 1);
        pod.underWay.push({ target: index, start, end, result: RESULTS.indexOf(result) });
        pod.next[index] = start + target.interval;
      }
    }
    const ended = pod.underWay.filter(({ end }) => end <= now);
    pod.underWay.splice(0, Number.POSITIVE_INFINITY, ...pod.underWay.filter(({ end }) => end > now));
    const attempts = ended.map(({ target, start, end, result }) => [target, start, end - start, result] as const);
    return { line: pod.lines.length, now, attempts };
  }

  #resultOf(pod: FakePod, target: Target, start: number): Result {
    const at = pod.started + start;
    const policies = new Map<string, number>();
    let isAfter = false;
    for (const change of this.#changes) {
      if (change.at > at) continue;
      if (change.type === 'set') policies.set(change.name, at - change.at);
      else isAfter = policies.delete(change.name) && policies.size === 0;
    }
    const [from = '', , to = ''] = target.id.split(' ');
    return this.#options.answer?.({ from, to, target, policies, age: start, isAfter }) ?? 'answered';
  }
}

export function node(name: string, more: object = {}): object {
  return { metadata: { name }, status: { conditions: [{ type: 'Ready', status: 'True' }] }, ...more };
}

/**
 * Whether the canary's policies deny the attempt, `delay` ms after each policy and after the pod's
 * start.
 */
export function enforced({ from, to, policies, age }: Asked, delay = 300): boolean {
  const inForce = (policy: string) => (policies.get(policy) ?? 0) > delay && age > delay;
  if (from === to) return false;
  if (inForce('server-ingress') && to === 'server' && !from.startsWith('client')) return true;
  if (inForce('client-egress') && from.startsWith('client') && to !== 'server') return true;
  return inForce('newcomer-egress') && from.startsWith('newcomer');
}

function send(response: ServerResponse, status: number, body: object): ServerResponse {
  response.writeHead(status, { 'content-type': 'application/json' });
  return response.end(JSON.stringify(body));
}

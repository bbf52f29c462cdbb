/** A canary's namespace in the cluster: creates its objects, follows its pods' logs, removes it. */
import type { ApiConnection } from '../kube/api-connection.ts';
import { ApiError } from '../kube/api-error.ts';
import { type Clock, wait } from '../kube/clock.ts';
import { LineScanner } from '../kube/line-scanner.ts';
import { PersistentRequests } from '../kube/persistent-requests.ts';
import { ShortLivedNamespace } from '../kube/short-lived-namespace.ts';
import { CanaryError } from './error.ts';
import type { NodeObject } from './nodes.ts';
import { type ApiObject, CANARY_LABEL, namespaceObject } from './objects.ts';
import type { PodObject } from './pod-state.ts';

/**
 * Milliseconds. A pod writes five lines a second; a log that pauses this long is requested again.
 */
const LOG_LIMITS = { answerLimit: 10_000, idleLimit: 5_000 };
/** Milliseconds between two attempts to read a log. */
const PAUSE = 500;
/** Most bytes in one line of a pod's log. */
const MAX_LINE = 1024 * 1024;

/** Methods throw CanaryError if the API server refuses, or the signal's reason. */
export class CanaryNamespace {
  readonly name: string;
  readonly #connection: ApiConnection;
  readonly #clock: Clock;
  readonly #requests: PersistentRequests;
  readonly #namespace: ShortLivedNamespace;
  readonly #path: string;
  readonly #policies: string;

  constructor(connection: ApiConnection, clock: Clock, name: string) {
    this.#connection = connection;
    this.#clock = clock;
    this.#requests = new PersistentRequests(connection, clock);
    this.#namespace = new ShortLivedNamespace(this.#requests, clock, namespaceObject(name));
    this.name = name;
    this.#path = this.#namespace.path;
    this.#policies = `/apis/networking.k8s.io/v1/namespaces/${name}/networkpolicies`;
  }

  async nodes(signal: AbortSignal): Promise<readonly NodeObject[]> {
    return (await this.#list<NodeObject>('/api/v1/nodes', signal)).items;
  }

  async create(signal: AbortSignal): Promise<void> {
    await explained(this.#namespace.create(signal));
  }

  async createPod(pod: ApiObject, signal: AbortSignal): Promise<void> {
    await explained(this.#requests.create(`${this.#path}/pods`, pod, signal));
  }

  async pods(signal: AbortSignal): Promise<readonly PodObject[]> {
    return (await this.#list<PodObject>(`${this.#path}/pods`, signal)).items;
  }

  async createPolicy(policy: ApiObject, signal: AbortSignal): Promise<void> {
    await explained(this.#requests.create(this.#policies, policy, signal));
  }

  async deletePolicy({ metadata }: ApiObject, signal: AbortSignal): Promise<void> {
    await explained(this.#requests.delete(`${this.#policies}/${metadata.name}`, signal));
  }

  /**
   * Passes on the lines of a pod's log as they arrive. Each new request starts at the first line.
   * Resolves when `signal` is aborted.
   * @param onTrouble receives the reason if the log cannot be read; reading goes on all the same
   * @throws CanaryError if the API server does not allow reading logs
   */
  async followLog(
    pod: string,
    signal: AbortSignal,
    onLine: (line: string) => void,
    onTrouble: (reason: string) => void,
  ): Promise<void> {
    while (!signal.aborted) {
      const scanner = new LineScanner(MAX_LINE);
      try {
        const log = this.#connection.read(`${this.#path}/pods/${pod}/log?follow=true`, { ...LOG_LIMITS, signal });
        for await (const chunk of log) for (const line of scanner.push(chunk)) onLine(line.toString());
      } catch (error) {
        const { code, message } = this.#requests.toApiError(error);
        if (signal.aborted) return;
        if (code === 'forbidden')
          throw new CanaryError(`the API server does not allow reading the pods' logs: ${message}`);
        onTrouble(message);
      }
      await wait(this.#clock, PAUSE, signal);
    }
  }

  /**
   * Deletes the namespace and waits until it is gone, even while the API server is away.
   * @param signal gives up
   * @throws CanaryError if the namespace still exists in the end; the message says how to remove it
   */
  async remove(signal: AbortSignal): Promise<void> {
    const reason = await this.#namespace.remove(signal);
    if (reason === undefined) return;
    throw new CanaryError(
      `namespace ${this.name} could not be removed: ${reason}. Remove it: kubectl delete namespace -l ${CANARY_LABEL}`,
    );
  }

  async #list<T>(path: string, signal: AbortSignal): Promise<{ readonly items: readonly T[] }> {
    return (await explained(this.#requests.get(path, signal))) as { items: readonly T[] };
  }
}

async function explained<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const advice = error.code === 'forbidden' ? '. The rights that podfence canary needs are in docs/canary.md' : '';
    const refuses = error.status === undefined ? '' : 'the API server refuses: ';
    throw new CanaryError(`${refuses}${error.message}${advice}`);
  }
}

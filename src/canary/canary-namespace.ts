/** A canary's namespace in the cluster: what is made in it, what its pods say, and that it goes away again. */
import type { ApiConnection, Change } from '../kube/api-connection.ts';
import { ApiError, toApiError } from '../kube/api-error.ts';
import { type Clock, wait } from '../kube/clock.ts';
import { LineScanner } from '../kube/line-scanner.ts';
import { CanaryError } from './error.ts';
import type { NodeObject } from './nodes.ts';
import { type ApiObject, CANARY_LABEL, namespaceObject } from './objects.ts';
import type { PodObject } from './pod-state.ts';

/** Milliseconds until the API server's answer begins, and that it may pause. */
const LIMITS = { answerLimit: 10_000, idleLimit: 10_000 };
/** A pod writes five lines a second. A log that pauses this long is asked for anew. */
const LOG_LIMITS = { answerLimit: 10_000, idleLimit: 5_000 };
/** Milliseconds between two attempts while the API server is away, and between two looks at what changes. */
const PAUSE = 500;
/** Bytes of a line of a pod. */
const MAX_LINE = 1024 * 1024;
/** Milliseconds that removal may take. A namespace goes when its pods have: seconds, a minute where a node is slow. */
const REMOVAL_LIMIT = 120_000;

/** Milliseconds after which a request whose answer was lost has had its effect. */
const ON_ITS_WAY = 3_000;

const NAMESPACES = '/api/v1/namespaces';

export class CanaryNamespace {
  readonly name: string;
  readonly #connection: ApiConnection;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #policies: string;
  /** Whether it was made: `perhaps` from when that was asked for until it was answered. */
  #isMade: 'no' | 'perhaps' | 'yes' = 'no';

  constructor(connection: ApiConnection, clock: Clock, name: string) {
    this.#connection = connection;
    this.#clock = clock;
    this.name = name;
    this.#path = `${NAMESPACES}/${name}`;
    this.#policies = `/apis/networking.k8s.io/v1/namespaces/${name}/networkpolicies`;
  }

  async nodes(signal: AbortSignal): Promise<readonly NodeObject[]> {
    return (await this.#get<{ items: readonly NodeObject[] }>('/api/v1/nodes', signal)).items;
  }

  async create(signal: AbortSignal): Promise<void> {
    this.#isMade = 'perhaps';
    // What was sent is waited for, whoever interrupts: a namespace that comes after its removal would stay.
    const { signal: never } = new AbortController();
    await this.#create(NAMESPACES, namespaceObject(this.name), signal, never);
    this.#isMade = 'yes';
  }

  async createPod(pod: ApiObject, signal: AbortSignal): Promise<void> {
    await this.#create(`${this.#path}/pods`, pod, signal);
  }

  async pods(signal: AbortSignal): Promise<readonly PodObject[]> {
    return (await this.#get<{ items: readonly PodObject[] }>(`${this.#path}/pods`, signal)).items;
  }

  async createPolicy(policy: ApiObject, signal: AbortSignal): Promise<void> {
    await this.#create(this.#policies, policy, signal);
  }

  async deletePolicy({ metadata }: ApiObject, signal: AbortSignal): Promise<void> {
    await this.#persist(signal, async () => {
      await this.#delete(`${this.#policies}/${metadata.name}`, signal);
    });
  }

  /**
   * Hands on the lines of a pod's log as they come, from the first on each time that it has to be asked for anew. Resolves when `signal` is
   * aborted.
   * @param onTrouble is told why the log could not be read; it is asked for again all the same
   * @throws CanaryError where logs may not be read
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
        const { code, message } = this.#toApiError(error);
        if (signal.aborted) return;
        if (code === 'forbidden') throw new CanaryError(`the pods' logs may not be read: ${message}`);
        onTrouble(message);
      }
      await wait(this.#clock, PAUSE, signal);
    }
  }

  /**
   * Deletes the namespace and waits until it is gone, also while the API server is away.
   * @param signal gives up
   * @throws CanaryError where it is still there in the end; the message says how to remove it
   */
  async remove(signal: AbortSignal): Promise<void> {
    if (this.#isMade === 'no') return;
    const givenUp = this.#clock.now() + REMOVAL_LIMIT;
    let reason = 'it is still terminating';
    while (!signal.aborted && this.#clock.now() < givenUp) {
      try {
        if (!(await this.#delete(this.#path, signal))) {
          if (this.#isMade === 'yes') return;
          // It may be on its way still, where the answer to its creation was lost.
          await wait(this.#clock, ON_ITS_WAY, signal);
          this.#isMade = 'yes';
        }
        reason = 'it is still terminating';
      } catch (error) {
        reason = this.#toApiError(error).message;
      }
      await wait(this.#clock, PAUSE, signal);
    }
    throw new CanaryError(
      `namespace ${this.name} could not be removed: ${signal.aborted ? 'interrupted' : reason}. Remove it: kubectl delete namespace -l ${CANARY_LABEL}`,
    );
  }

  async #get<T>(path: string, signal: AbortSignal): Promise<T> {
    return await this.#persist(signal, async () => (await this.#ask(path, signal)) as T);
  }

  /** Asked again after an answer that was lost, it finds what it made. */
  async #create(path: string, object: ApiObject, signal: AbortSignal, requestSignal = signal): Promise<void> {
    let isRepeated = false;
    await this.#persist(signal, async () => {
      try {
        await this.#ask(path, requestSignal, {
          method: 'POST',
          type: 'application/json',
          body: JSON.stringify(object),
        });
      } catch (error) {
        if (!(isRepeated && error instanceof ApiError && error.status === 409)) throw error;
      } finally {
        isRepeated = true;
      }
    });
  }

  /** Gives back whether there was something to delete. */
  async #delete(path: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#ask(path, signal, { method: 'DELETE', type: 'application/json', body: '{}' });
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false;
      // A namespace that is being deleted is deleted once more with a conflict.
      if (error instanceof ApiError && error.status === 409) return true;
      throw error;
    }
  }

  /** Tries until it succeeds or `signal` is aborted, as long as the reason is one that goes away by itself, or by new credentials. */
  async #persist<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    let areCredentialsNew = false;
    while (true) {
      try {
        return await act();
      } catch (error) {
        const failure = this.#toApiError(error);
        if (signal.aborted) throw signal.reason;
        const isWorthAnother = isPassing(failure) || (failure.code === 'unauthorized' && !areCredentialsNew);
        if (!isWorthAnother) throw explained(failure);
        areCredentialsNew ||= failure.code === 'unauthorized';
        await wait(this.#clock, Math.max(PAUSE, failure.retryAfter), signal);
        if (signal.aborted) throw new CanaryError(`the API server did not answer in time: ${failure.message}`);
      }
    }
  }

  async #ask(path: string, signal: AbortSignal, change?: Change): Promise<unknown> {
    const chunks: Buffer[] = [];
    const options = { ...LIMITS, signal, ...(change === undefined ? {} : { change }) };
    for await (const chunk of this.#connection.read(path, options)) chunks.push(chunk);
    return JSON.parse(Buffer.concat(chunks).toString());
  }

  #toApiError(error: unknown): ApiError {
    const failure = toApiError(error);
    if (failure.code === 'unauthorized') this.#connection.forgetCredentials();
    return failure;
  }
}

/** A new namespace has no service account for a moment, and pods are refused with 403 until then. */
function isPassing({ code, message }: ApiError): boolean {
  if (code === 'forbidden') return /serviceaccount .* not found/.test(message);
  return code === 'connection' || code === 'inactive' || code === 'overloaded' || code === 'server-error';
}

function explained(error: ApiError): CanaryError {
  const advice = error.code === 'forbidden' ? '. The rights that podfence canary needs are in docs/canary.md' : '';
  return new CanaryError(`the API server refuses: ${error.message}${advice}`);
}

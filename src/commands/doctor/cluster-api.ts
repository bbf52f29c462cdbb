/** Doctor's requests to the API server, with time limits for a user who waits. */
import { ApiConnection, type Change } from '../../kube/api-connection.ts';
import { ApiError, toApiError } from '../../kube/api-error.ts';
import { systemClock } from '../../kube/clock.ts';
import { type KubeConfigChoice, KubeConfigError, loadKubeConfig } from '../../kube/kubeconfig.ts';
import { listObjects } from '../../kube/list-objects.ts';
import { PersistentRequests } from '../../kube/persistent-requests.ts';
import { InputError } from '../shared/exit-code.ts';

/** Longest wait for an answer to begin, and longest pause in it, in ms. */
const LIMITS = { answerLimit: 10_000, idleLimit: 10_000 };
const LONGEST_ANSWER = 4 * 1024 * 1024;

export class ClusterApi implements Disposable {
  readonly #connection: ApiConnection;
  readonly #signal: AbortSignal;

  /** @throws InputError where no cluster can be found or logged in to */
  constructor(choice: KubeConfigChoice, signal: AbortSignal) {
    this.#signal = signal;
    try {
      this.#connection = new ApiConnection(() => loadKubeConfig(choice));
    } catch (error) {
      if (error instanceof KubeConfigError) throw new InputError(error.message);
      throw error;
    }
  }

  /**
   * Requests for objects that doctor creates in the cluster, and must remove however the run ends.
   */
  get requests(): PersistentRequests {
    return new PersistentRequests(this.#connection, systemClock);
  }

  get server(): string {
    return this.#connection.server;
  }

  /** Passes every object of a collection to `each`. Throws an ApiError. */
  async list(path: string, kind: string, each: (object: unknown) => void): Promise<void> {
    try {
      for await (const object of listObjects(this.#connection, path, kind, this.#signal)) each(object);
    } catch (error) {
      throw toApiError(error);
    }
  }

  /** Returns the answer. Throws an ApiError. */
  async text(path: string, change?: Change): Promise<string> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of this.#connection.read(path, {
        ...LIMITS,
        signal: this.#signal,
        ...(change !== undefined && { change }),
      })) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > LONGEST_ANSWER) throw new ApiError('malformed', `the answer is longer than ${LONGEST_ANSWER} bytes`);
      }
    } catch (error) {
      throw toApiError(error);
    }
    return Buffer.concat(chunks).toString();
  }

  /** Returns the answer, parsed as JSON. Throws an ApiError. */
  async json(path: string, change?: Change): Promise<unknown> {
    const text = await this.text(path, change);
    try {
      return JSON.parse(text);
    } catch {
      throw new ApiError('malformed', `the answer to ${path} is not JSON`);
    }
  }

  async create(path: string, object: object): Promise<unknown> {
    return await this.json(path, { method: 'POST', type: 'application/json', body: JSON.stringify(object) });
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** Requests of doctor to the API server: for a person who waits, and each named by the right that it needs. */
import { ApiConnection, type Change } from '../../kube/api-connection.ts';
import { ApiError, toApiError } from '../../kube/api-error.ts';
import { systemClock } from '../../kube/clock.ts';
import { type KubeConfigChoice, KubeConfigError, loadKubeConfig } from '../../kube/kubeconfig.ts';
import { listObjects } from '../../kube/list-objects.ts';
import { PersistentRequests } from '../../kube/persistent-requests.ts';
import { InputError } from '../shared/exit-code.ts';

/** Milliseconds until an answer begins, and that it may pause. */
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

  /** For what is made in the cluster, which is to go again however this ends. */
  get requests(): PersistentRequests {
    return new PersistentRequests(this.#connection, systemClock);
  }

  get server(): string {
    return this.#connection.server;
  }

  /** Every object of a collection. Throws ApiError. */
  async list(path: string, kind: string, each: (object: unknown) => void): Promise<void> {
    try {
      for await (const object of listObjects(this.#connection, path, kind, this.#signal)) each(object);
    } catch (error) {
      throw toApiError(error);
    }
  }

  /** Throws ApiError. */
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

  /** The same, parsed. */
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

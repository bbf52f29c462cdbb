/** Requests that retry while the API server is away, overloaded, or asks for new credentials. */
import type { ApiConnection, Change } from './api-connection.ts';
import { ApiError, toApiError } from './api-error.ts';
import { type Clock, wait } from './clock.ts';

/** Milliseconds until an answer must begin, and that it may pause. */
const LIMITS = { answerLimit: 10_000, idleLimit: 10_000 };
/** Milliseconds between two attempts. */
const PAUSE = 500;

export class PersistentRequests {
  readonly #connection: ApiConnection;
  readonly #clock: Clock;

  constructor(connection: ApiConnection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  /** Throws ApiError, or the signal's reason. */
  async get(path: string, signal: AbortSignal): Promise<unknown> {
    return await this.#persist(signal, () => this.#ask(path, signal));
  }

  /**
   * Creates an object. After a lost answer, a conflict counts as success: the first attempt made
   * the object. Throws ApiError, or the signal's reason.
   * @param whole lets a request that was sent finish, even if `signal` is aborted meanwhile
   * @param onDoubt is called when an answer is lost: the object may exist
   */
  async create(
    path: string,
    object: object,
    signal: AbortSignal,
    { whole = false, onDoubt = () => {} } = {},
  ): Promise<void> {
    const change: Change = { method: 'POST', type: 'application/json', body: JSON.stringify(object) };
    const requestSignal = whole ? new AbortController().signal : signal;
    let isInDoubt = false;
    await this.#persist(signal, async () => {
      try {
        await this.#ask(path, requestSignal, change);
      } catch (error) {
        const { status = 500 } = toApiError(error);
        if (status === 409 && isInDoubt) return;
        if (status >= 500) {
          isInDoubt = true;
          onDoubt();
        }
        throw error;
      }
    });
  }

  /** Returns whether there was something to delete. Throws ApiError, or the signal's reason. */
  async delete(path: string, signal: AbortSignal): Promise<boolean> {
    return await this.#persist(signal, () => this.deleteOnce(path, signal));
  }

  /** Like `delete`, with a single attempt. */
  async deleteOnce(path: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#ask(path, signal, { method: 'DELETE', type: 'application/json', body: '{}' });
      return true;
    } catch (error) {
      const failure = this.toApiError(error);
      if (failure.status === 404) return false;
      // Deleting a namespace that is already terminating is a conflict.
      if (failure.status === 409) return true;
      throw failure;
    }
  }

  /** Converts an error. After a 401 the next request reads the credentials again. */
  toApiError(error: unknown): ApiError {
    const failure = toApiError(error);
    if (failure.code === 'unauthorized') this.#connection.forgetCredentials();
    return failure;
  }

  /**
   * Retries until it succeeds or `signal` is aborted, as long as the failure may pass by itself or
   * with new credentials.
   */
  async #persist<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    let areCredentialsNew = false;
    while (true) {
      try {
        return await act();
      } catch (error) {
        const failure = this.toApiError(error);
        if (signal.aborted) throw signal.reason;
        const isWorthAnother = isPassing(failure) || (failure.code === 'unauthorized' && !areCredentialsNew);
        if (!isWorthAnother) throw failure;
        areCredentialsNew ||= failure.code === 'unauthorized';
        await wait(this.#clock, Math.max(PAUSE, failure.retryAfter), signal);
        if (signal.aborted) {
          throw new ApiError('connection', `the API server did not answer in time: ${failure.message}`);
        }
      }
    }
  }

  async #ask(path: string, signal: AbortSignal, change?: Change): Promise<unknown> {
    const chunks: Buffer[] = [];
    const options = { ...LIMITS, signal, ...(change !== undefined && { change }) };
    for await (const chunk of this.#connection.read(path, options)) chunks.push(chunk);
    return JSON.parse(Buffer.concat(chunks).toString());
  }
}

/**
 * A new namespace has no service account for a moment: until then the server refuses pods with 403.
 */
function isPassing({ code, message }: ApiError): boolean {
  if (code === 'forbidden') return /serviceaccount .* not found/.test(message);
  return code === 'connection' || code === 'inactive' || code === 'overloaded' || code === 'server-error';
}

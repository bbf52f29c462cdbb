/** A namespace that a command creates for a minute and removes however the command ends. */
import { type Clock, wait } from './clock.ts';
import type { PersistentRequests } from './persistent-requests.ts';

/**
 * Milliseconds that removal may take. A namespace disappears after its pods: in seconds, or in a
 * minute on a slow node.
 */
const REMOVAL_LIMIT = 120_000;
/** Milliseconds between two checks whether it is gone. */
const PAUSE = 500;
/** Milliseconds after which a request with a lost answer has taken effect. */
const ON_ITS_WAY = 3_000;

const NAMESPACES = '/api/v1/namespaces';

/**
 * A Namespace of the API
 * (https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/).
 */
export interface NamespaceObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string };
}

export class ShortLivedNamespace {
  readonly name: string;
  readonly path: string;
  readonly #requests: PersistentRequests;
  readonly #clock: Clock;
  readonly #object: NamespaceObject;
  #isMade: 'no' | 'perhaps' | 'yes' = 'no';

  constructor(requests: PersistentRequests, clock: Clock, object: NamespaceObject) {
    this.#requests = requests;
    this.#clock = clock;
    this.#object = object;
    this.name = object.metadata.name;
    this.path = `${NAMESPACES}/${this.name}`;
  }

  /**
   * Creates the namespace. A request that was sent finishes even if `signal` is aborted: otherwise
   * the namespace could appear after its removal, and stay. Throws ApiError, or the signal's
   * reason.
   */
  async create(signal: AbortSignal): Promise<void> {
    const onDoubt = () => {
      this.#isMade = 'perhaps';
    };
    await this.#requests.create(NAMESPACES, this.#object, signal, { whole: true, onDoubt });
    this.#isMade = 'yes';
  }

  /**
   * Deletes the namespace and waits until it is gone, retrying while the API server is away.
   * @param signal ends the attempts
   * @returns why the namespace still exists; undefined if it is gone
   */
  async remove(signal: AbortSignal): Promise<string | undefined> {
    if (this.#isMade === 'no') return undefined;
    const givenUp = this.#clock.now() + REMOVAL_LIMIT;
    let reason = 'it is still terminating';
    while (!signal.aborted && this.#clock.now() < givenUp) {
      try {
        if (!(await this.#requests.deleteOnce(this.path, signal))) {
          if (this.#isMade === 'yes') return undefined;
          // The answer to its creation was lost: the namespace may still appear.
          await wait(this.#clock, ON_ITS_WAY, signal);
          this.#isMade = 'yes';
        }
        reason = 'it is still terminating';
      } catch (error) {
        const { code, message } = this.#requests.toApiError(error);
        // A retry does not give a missing permission.
        if (code === 'forbidden') return message;
        reason = message;
      }
      await wait(this.#clock, PAUSE, signal);
    }
    return signal.aborted ? 'interrupted' : reason;
  }
}

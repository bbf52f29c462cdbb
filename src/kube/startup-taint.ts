/**
 * The start-up taint of the agent's node. A new node registers with it, so that no pod is scheduled
 * there before its policies are enforced. The agent removes it once they are, and never puts it
 * back (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/).
 */

import type { Logger } from 'pino';
import type { StartupTaintState, StartupTaintStatus } from '../agent-state/startup-taint.ts';
import type { ApiConnection, Change } from './api-connection.ts';
import { type ApiError, toApiError } from './api-error.ts';
import { Backoff } from './backoff.ts';
import { type Clock, systemClock, wait } from './clock.ts';

/** Milliseconds until the API server's answer must begin, and that it may pause. */
const PATIENCE = 10_000;
/** The first of this many failures in a row is a warning, the others are debug lines. */
const REPORTED = 10;

export interface StartupTaintOptions {
  readonly connection: ApiConnection;
  readonly nodeName: string;
  /** The agent removes every taint with this key, whatever its value and effect. */
  readonly key: string;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Numbers from 0 to below 1, for jitter. @default Math.random */
  readonly random?: () => number;
}

interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

export class StartupTaint {
  readonly #options: StartupTaintOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #stopped = new AbortController();
  #state: StartupTaintState = 'waiting';
  #failures = 0;
  #lastError: string | undefined;
  #done: Promise<void> = Promise.resolve();

  constructor(options: StartupTaintOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#backoff = new Backoff(options.random ?? Math.random);
  }

  /** Removes the taint in the background, and retries until that succeeds. Call it once. */
  start(): void {
    this.#done = this.#removeInTheEnd();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#done;
    this.#options.connection.close();
  }

  status(): StartupTaintStatus {
    const { key } = this.#options;
    return { key, state: this.#state, failures: this.#failures, lastError: this.#lastError };
  }

  async #removeInTheEnd(): Promise<void> {
    const { signal } = this.#stopped;
    this.#state = 'removing';
    while (!signal.aborted) {
      try {
        this.#state = (await this.#remove()) ? 'removed' : 'absent';
        this.#reportSuccess();
        return;
      } catch (error) {
        if (signal.aborted) return;
        await wait(this.#clock, this.#failed(toApiError(error)), signal);
      }
    }
  }

  /**
   * Removes the taint. Returns whether there was one. The patch replaces the whole list of taints,
   * so it first tests that the list is unchanged (RFC 6902, operation `test`). If it has changed,
   * the patch fails, and the next attempt reads the list again.
   */
  async #remove(): Promise<boolean> {
    const { nodeName, key } = this.#options;
    const path = `/api/v1/nodes/${encodeURIComponent(nodeName)}`;
    const taints = taintsOf(await this.#ask(path));
    const left = taints.filter((taint) => taint.key !== key);
    if (left.length === taints.length) return false;
    const change = left.length === 0 ? { op: 'remove' } : { op: 'replace', value: left };
    const patch = [
      { op: 'test', path: '/spec/taints', value: taints },
      { ...change, path: '/spec/taints' },
    ];
    await this.#ask(path, { method: 'PATCH', type: 'application/json-patch+json', body: JSON.stringify(patch) });
    return true;
  }

  async #ask(path: string, change?: Change): Promise<unknown> {
    const limits = { signal: this.#stopped.signal, answerLimit: PATIENCE, idleLimit: PATIENCE };
    const chunks: Buffer[] = [];
    const answer = this.#options.connection.read(path, change === undefined ? limits : { ...limits, change });
    for await (const chunk of answer) chunks.push(chunk);
    return JSON.parse(Buffer.concat(chunks).toString());
  }

  /** Returns the ms to wait before the next attempt. */
  #failed(error: ApiError): number {
    const { log, key, connection } = this.#options;
    if (error.code === 'unauthorized') connection.forgetCredentials();
    this.#state = 'failing';
    this.#failures++;
    this.#lastError = error.message;
    const delay = this.#backoff.next(error.retryAfter);
    const level = this.#failures % REPORTED === 1 ? 'warn' : 'debug';
    log[level](
      { taint: key, reason: error.code, error: error.message, failures: this.#failures, retryInMs: delay },
      `the start-up taint stays on the node, so that no pod is scheduled here; policies are in force all the same${advice(error)}`,
    );
    return delay;
  }

  #reportSuccess(): void {
    const { log, key } = this.#options;
    if (this.#state === 'removed') log.info({ taint: key }, 'removed the start-up taint: pods may be scheduled here');
    else log.info({ taint: key }, 'the node has no start-up taint to remove');
  }
}

function advice({ code, status }: ApiError): string {
  if (code === 'forbidden') {
    return '. The agent may not get and patch nodes: apply daemonset/startup-taint, which grants that';
  }
  return status === 404 ? '. The cluster has no node of this name: is --node-name right?' : '';
}

function taintsOf(node: unknown): readonly Taint[] {
  const taints = (node as { spec?: { taints?: unknown } } | null)?.spec?.taints;
  return Array.isArray(taints) ? taints : [];
}

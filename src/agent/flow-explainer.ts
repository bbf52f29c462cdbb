/**
 * Answers why a flow is allowed or denied, in a thread of its own, because an answer may take long
 * and changes of the cluster must not wait for it. The main thread only selects the relevant part
 * of the cluster. The thread answers one question at a time. A question that waits or takes too
 * long gets no answer.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { PolicyMode } from '../cluster/records.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { vicinityOf } from '../explain/vicinity.ts';
import type { NodeIdentity } from '../policy/compiler.ts';
import type { RuleTable } from '../policy/rule-table.ts';
import type { Explained, ExplainQuery } from '../telemetry/explain-route.ts';
import type { AnswerRequest, AnswerResponse } from './questions/messages.ts';

export interface FlowExplainerOptions {
  readonly node: NodeIdentity;
  /** As in CompilerOptions. @default enforce */
  readonly mode?: PolicyMode;
  snapshot(): ClusterSnapshot;
  /** The table that the node judges by; undefined before there is one. */
  table(): RuleTable | undefined;
  /** Time limit from question to answer, in ms. @default 20,000 */
  readonly patience?: number;
  /** The thread's program. @default questions/question-worker.ts */
  readonly program?: URL;
}

const PROGRAM = new URL(`./questions/question-worker${extname(import.meta.filename)}`, import.meta.url);
const PATIENCE = 20_000;
/** A question with less time left, in ms, is not asked: its answer would come too late. */
const SHORTEST = 10;
/** The thread ends after this long without a question, in ms. */
const IDLE = 60_000;
/**
 * The thread's heap limit, in MiB. A thread that exceeds it ends, and its question gets no answer.
 */
const HEAP = 512;

const GONE: Explained = { outcome: 'not-ready', message: 'too late' };

export class FlowExplainer {
  readonly #options: FlowExplainerOptions;
  readonly #patience: number;
  #last: Promise<unknown> = Promise.resolve();
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: FlowExplainerOptions) {
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
  }

  /** @param signal aborted when the asker has gone */
  async explain(question: ExplainQuery, signal?: AbortSignal): Promise<Explained> {
    const deadline = performance.now() + this.#patience;
    const answer = this.#last.then(() => (signal?.aborted ? GONE : this.#ask(question, deadline - performance.now())));
    this.#last = answer.catch(() => undefined);
    return await answer;
  }

  /** Ends the thread; a question under way gets no answer. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#end();
  }

  async #ask(question: ExplainQuery, patience: number): Promise<Explained> {
    if (this.#stopped) return { outcome: 'not-ready', message: 'the agent stops' };
    if (patience < SHORTEST) return this.#givenUp('waited behind others for');
    const request = this.#requestFor(question);
    if (request === undefined) return { outcome: 'not-ready', message: 'the policies are not in force yet' };
    clearTimeout(this.#idle);
    const worker = this.#worker ?? this.#start();
    const { promise, resolve, reject } = Promise.withResolvers<Explained>();
    const timer = setTimeout(() => {
      resolve(this.#givenUp('took'));
      void this.#end();
    }, patience);
    worker.once('message', ({ explained, failure }: AnswerResponse) =>
      explained === undefined ? reject(new Error(failure)) : resolve(explained),
    );
    worker.once('error', (error) =>
      resolve({ outcome: 'not-ready', message: `it cannot be answered: ${error.message}` }),
    );
    worker.once('exit', () => resolve({ outcome: 'not-ready', message: 'the agent stops' }));
    worker.postMessage(request);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      worker.removeAllListeners('message').removeAllListeners('error').removeAllListeners('exit');
      worker.on('error', () => this.#forget(worker)).on('exit', () => this.#forget(worker));
      this.#idle = setTimeout(() => void this.#end(), IDLE).unref();
    }
  }

  #requestFor(question: ExplainQuery): AnswerRequest | undefined {
    const { node, mode = 'enforce', snapshot, table: inForce } = this.#options;
    const table = inForce();
    if (table === undefined) return undefined;
    const { from, to } = question;
    const copy = new SharedArrayBuffer(table.buffer.byteLength);
    new Uint8Array(copy).set(new Uint8Array(table.buffer));
    return { question, snapshot: vicinityOf(snapshot(), [from, to]), node, mode, table: copy };
  }

  #givenUp(did: string): Explained {
    const message = `the question ${did} more than ${this.#patience / 1000} s and was given up: explain with --kubeconfig or --manifests instead`;
    return { outcome: 'not-ready', message };
  }

  #start(): Worker {
    const worker = new Worker(this.#options.program ?? PROGRAM, {
      name: 'podfence-explain',
      resourceLimits: { maxOldGenerationSizeMb: HEAP },
    });
    worker.unref();
    worker.on('error', () => this.#forget(worker)).on('exit', () => this.#forget(worker));
    this.#worker = worker;
    return worker;
  }

  #forget(worker: Worker): void {
    if (this.#worker === worker) this.#worker = undefined;
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}

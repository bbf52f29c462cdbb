/** The lab's handle on the agent of one node: a child process in the node's network namespace. */
import { type ChildProcess, fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AgentCounters } from '../agent-state/counters.ts';
import type { ClusterChange, ClusterSnapshot } from '../cluster/store.ts';
import type { Netns } from '../sys/netns.ts';
import type { Pair } from '../traffic/live-traffic.ts';
import type { AgentFlags, NodeReply, NodeRequest } from './node-messages.ts';
import type { WireCounters } from './node-wire.ts';
import type { LabNode } from './scheduling.ts';

const PROGRAM = fileURLToPath(new URL(`./node-process${extname(import.meta.filename)}`, import.meta.url));
const STOP_PATIENCE = 3000;

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class NodeAgent {
  readonly #child: ChildProcess;
  readonly #node: LabNode;
  readonly #pending = new Map<number, Pending>();
  readonly #ended: Promise<void>;
  #requests = 0;
  #failure: Error | undefined;

  /**
   * Starts the process. `fork` returns after the child exists, so the child starts in the
   * namespace.
   */
  constructor(node: LabNode, netns: Netns) {
    this.#node = node;
    this.#child = netns.run(() =>
      fork(PROGRAM, [String(process.pid)], {
        serialization: 'advanced',
        execArgv: [],
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      }),
    );
    this.#child.on('message', (reply: NodeReply) => this.#receive(reply));
    this.#child.on('error', (error) => this.#fail(error));
    this.#ended = new Promise((resolve) => {
      this.#child.on('exit', (code, signal) => {
        this.#fail(new Error(`the agent of ${node.name} has ended (${signal ?? `exit code ${code}`})`));
        resolve();
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Resolves when the policies of the snapshot are in force. */
  async start(flags: AgentFlags, snapshot: ClusterSnapshot): Promise<void> {
    await this.#request({ type: 'start', node: this.#node, flags, snapshot });
  }

  /**
   * Makes the process carry the node's pods by cables instead of running an agent. Resolves when
   * they carry frames.
   */
  async startWire(
    nodes: readonly LabNode[],
    cables: readonly Pair[],
    snapshot: ClusterSnapshot,
    bufferBytes?: number,
  ): Promise<void> {
    await this.#request({ type: 'start-wire', nodes, cables, bufferBytes, snapshot });
  }

  /**
   * Resolves when the changes are in force, also on established flows. `cables` lists all current
   * cables.
   */
  async apply(changes: readonly ClusterChange[], cables: readonly Pair[] = []): Promise<void> {
    await this.#request({ type: 'apply', changes, cables });
  }

  async counters(): Promise<AgentCounters> {
    return (await this.#request({ type: 'counters' })) as AgentCounters;
  }

  async wireCounters(): Promise<WireCounters> {
    return (await this.#request({ type: 'counters' })) as WireCounters;
  }

  async stop(): Promise<void> {
    this.#request({ type: 'stop' }).catch(() => undefined);
    const timer = setTimeout(() => this.kill(), STOP_PATIENCE);
    await this.#ended;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #request(body: NodeRequest): Promise<unknown> {
    if (this.#failure) return Promise.reject(this.#failure);
    const request = ++this.#requests;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(request, { resolve, reject });
    this.#child.send({ request, body }, (error) => {
      if (error) this.#fail(error);
    });
    return promise;
  }

  #receive(reply: NodeReply): void {
    const pending = this.#pending.get(reply.request);
    this.#pending.delete(reply.request);
    if (reply.type === 'done') pending?.resolve(reply.result);
    else pending?.reject(new Error(`agent of ${this.#node.name}: ${reply.message}`));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

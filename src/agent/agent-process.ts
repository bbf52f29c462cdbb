/**
 * The agent process on a node: a source of cluster records, the agent, and the HTTP servers. It
 * starts in this order: HTTP (alive, not ready), the source's first lists, queues and steering,
 * then ready. So it enforces nothing from half a list, and until then the rules of an earlier agent
 * stay in force.
 */

import type { Logger } from 'pino';
import type { PodStartStatus } from '../agent-state/pod-starts.ts';
import type { SpoofingStatus } from '../agent-state/spoofing.ts';
import type { StartupTaintStatus } from '../agent-state/startup-taint.ts';
import { nearest } from '../cluster/nearest.ts';
import type { NodeRecord } from '../cluster/records.ts';
import type { ClusterSnapshot, OnChanges } from '../cluster/store.ts';
import { STATES } from '../conntrack/states.ts';
import type { Finding } from '../doctor/finding.ts';
import { verdictsOfReasons } from '../filter/verdict.ts';
import { FlowLog } from '../flows/flow-log.ts';
import type { PolicyFlowCount } from '../flows/policy-flow-counter.ts';
import { SequenceEnded } from '../sys/sequence.ts';
import { agentRoutes, queryRoutes } from '../telemetry/agent-routes.ts';
import type {
  AgentView,
  EnforcementMode,
  Readiness,
  RefusedPoliciesView,
  SharedAddressesView,
  SourceView,
  UnknownPortNamesView,
  WorkersView,
} from '../telemetry/agent-view.ts';
import { HttpServer } from '../telemetry/http-server.ts';
import { formatListenAddress, isLoopback, type ListenAddress } from '../telemetry/listen-address.ts';
import { refusal } from '../telemetry/local-requests.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Agent, type AgentOptions } from './agent.ts';
import { FlowExplainer } from './flow-explainer.ts';
import type { NodeChecks } from './node-checks.ts';
import { NodeLooks } from './node-looks.ts';
import { PodStarts } from './pod-starts.ts';
import { beginStep } from './start-steps.ts';

/** Where the records come from: the API server, or manifests. */
export interface ClusterSource {
  start(): void;
  /** Resolves when there is a snapshot; rejects if it cannot come any more. */
  readonly synced: Promise<void>;
  /** Returns all records. `onChanges` reports what changes after this call. */
  baseline(): ClusterSnapshot;
  /** Returns all records. */
  snapshot(): ClusterSnapshot;
  view(): SourceView;
  stop(): Promise<void>;
}

/**
 * A taint that keeps pods off the node until the policies are in force. Implemented by
 * `StartupTaint` of kube/startup-taint.ts.
 */
export interface NodeTaint {
  /** Called once the policies are in force. */
  start(): void;
  status(): StartupTaintStatus;
  stop(): Promise<void>;
}

export interface AgentProcessOptions {
  readonly agent: Omit<AgentOptions, 'onInForce' | 'log' | 'flowLog'>;
  /**
   * Creates the source, which must call `onChanges` for changes after its baseline. It calls
   * `onNodes` with all nodes whenever they change, if it knows any.
   */
  readonly source: (onChanges: OnChanges, onNodes: (nodes: readonly NodeRecord[]) => void) => ClusterSource;
  /** In the format of parseListenAddress in telemetry/listen-address.ts. */
  readonly metricsAddress: string;
  /** The address for questions, in the same format; empty to answer none. */
  readonly queryAddress: string;
  /** Path of the container runtime's NRI socket; undefined to let pods start unannounced. */
  readonly nri?: string | undefined;
  /** A taint to remove once the policies are in force. */
  readonly startupTaint?: NodeTaint | undefined;
  readonly version: string;
  readonly log: Logger;
  /** Returns how many lines `log` could not write. */
  readonly logLinesLost: () => number;
  /** Milliseconds between two checks of the node. @default three minutes */
  readonly lookInterval?: number;
}

export class AgentProcess implements AgentView {
  readonly version: string;
  readonly nodeName: string;
  readonly words = {
    reasons: verdictsOfReasons(),
    flowStates: STATES.slice(1),
  };
  readonly logLinesLost: () => number;
  /** Present if the agent counts flows by policy. */
  readonly policyFlows?: () => Iterable<PolicyFlowCount>;
  /** Present if there is a taint to remove. */
  readonly startupTaint?: () => StartupTaintStatus;
  readonly #log: Logger;
  readonly #agent: Agent;
  readonly #source: ClusterSource;
  readonly #server: HttpServer;
  readonly #queries: HttpServer | undefined;
  readonly #explainer: FlowExplainer;
  readonly #taint: NodeTaint | undefined;
  readonly #podStarts: PodStarts;
  readonly #metrics: Metrics;
  /** The step of the start; undefined once the policies are in force. */
  #starting: string | undefined = 'starting';
  /** Whether it waits for the first snapshot. */
  #isWaiting = false;
  readonly #looks: NodeLooks;
  #stopping = false;

  /** Throws ListenError for an invalid address. */
  constructor({
    agent,
    source,
    metricsAddress,
    queryAddress,
    nri,
    startupTaint,
    version,
    log,
    logLinesLost,
    lookInterval,
  }: AgentProcessOptions) {
    this.#taint = startupTaint;
    if (startupTaint) this.startupTaint = () => startupTaint.status();
    if (agent.policyFlows) this.policyFlows = () => this.#agent.policyFlows() ?? [];
    this.#metrics = new Metrics(this);
    this.version = version;
    this.nodeName = agent.node.name;
    this.#log = log;
    this.logLinesLost = logLinesLost;
    this.#looks = new NodeLooks(() => this.#nodeFacts(), log, lookInterval);
    const flowLog = new FlowLog();
    const answers = queryAddress !== '';
    let isFirst = true;
    this.#agent = new Agent({
      ...agent,
      ...(answers && { flowLog }),
      log,
      onInForce: (times) => {
        if (isFirst) this.#metrics.observeStart(times);
        else this.#metrics.observeChange(times);
        isFirst = false;
      },
    });
    const { mode = 'enforce', fail = 'closed' } = agent;
    this.#podStarts = new PodStarts({
      nodeName: agent.node.name,
      socketPath: nri,
      // Audit mode refuses no pod.
      fail: mode === 'audit' ? 'open' : fail,
      bring: (take, receivedAt) => this.#agent.bring(take, receivedAt),
      log,
    });
    this.#source = source(
      this.#podStarts.merging((take, receivedAt) => this.#agent.onChanges(take, receivedAt)),
      (nodes) => this.#agent.onNodes(nodes),
    );
    this.#server = new HttpServer({ address: metricsAddress, routes: agentRoutes(this, this.#metrics), log });
    this.#explainer = new FlowExplainer({
      node: agent.node,
      ...(agent.mode !== undefined && { mode: agent.mode }),
      snapshot: () => this.#agent.asCompiled(this.#podStarts.snapshot(this.#source.snapshot())),
      table: () => this.#agent.table,
    });
    this.#queries = answers
      ? new HttpServer({
          address: queryAddress,
          routes: queryRoutes({ flowLog, explain: (question, signal) => this.#explainer.explain(question, signal) }),
          refuse: refusal,
          log,
        })
      : undefined;
  }

  /**
   * Resolves with the address that it serves on, once the policies are in force or the agent was
   * stopped. If the agent cannot start, throws the reason and leaves nothing running.
   */
  async start(): Promise<ListenAddress> {
    beginStep('serving');
    const address = await this.#server.start();
    try {
      this.#log.info({ address: formatListenAddress(address) }, 'serving');
      if (this.#stopping) return address;
      beginStep('answering questions');
      await this.#startAnswering();
      if (this.#stopping) return address;
      beginStep('reading the cluster');
      this.#source.start();
      this.#isWaiting = true;
      await this.#source.synced.finally(() => {
        this.#isWaiting = false;
      });
      this.#starting = 'bringing the policies into force';
      const snapshot = this.#podStarts.baseline(this.#source.baseline());
      this.#doubtNodeName(snapshot);
      await this.#agent.start(snapshot);
      this.#starting = undefined;
      // New pods come when the runtime waits for the agent, if it ever does.
      void this.#podStarts.start().then(() => this.#stopping || this.#taint?.start());
      void this.#metrics.load().catch((error: unknown) => this.#log.error({ err: error }, 'metrics cannot be served'));
      void this.#looks.start();
      return address;
    } catch (error) {
      if (error instanceof SequenceEnded) return address;
      await this.stop();
      throw error;
    }
  }

  /**
   * Stops judging and leaves the kernel's rules to the next agent. A start that is under way leaves
   * them as it found them.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    // This comes first so that a start under way goes no further.
    const ended = await Promise.allSettled([
      this.#podStarts.stop(),
      this.#agent.stop(),
      this.#taint?.stop(),
      this.#source.stop(),
    ]);
    await this.#explainer.stop();
    await this.#queries?.stop();
    await this.#server.stop();
    for (const each of ended) if (each.status === 'rejected') throw each.reason;
  }

  counters() {
    return this.#agent.counters();
  }

  workers(): WorkersView {
    return this.#agent.workers();
  }

  enforcementMode(): EnforcementMode | undefined {
    return this.#agent.mode();
  }

  findings(): readonly Finding[] {
    return this.#looks.findings;
  }

  findingsAge(): number | undefined {
    return this.#looks.age();
  }

  podStarts(): PodStartStatus {
    return this.#podStarts.status();
  }

  spoofing(): SpoofingStatus {
    return this.#agent.spoofing();
  }

  sharedAddresses(): SharedAddressesView {
    return this.#agent.sharedAddresses();
  }

  refusedPolicies(): RefusedPoliciesView {
    return this.#agent.refusedPolicies();
  }

  unknownPortNames(): UnknownPortNamesView {
    return this.#agent.unknownPortNames();
  }

  readiness(): Readiness {
    if (this.#stopping) return { ready: false, reason: 'stopping' };
    if (this.#isWaiting) return { ready: false, reason: waitingFor(this.#source.view()) };
    const reason = this.#starting ?? this.#agent.problem();
    return reason === undefined ? { ready: true, since: this.#agent.inForceSince } : { ready: false, reason };
  }

  source(): SourceView {
    return this.#source.view();
  }

  /**
   * Starts to answer questions. A failure is only logged: a port in use must not keep the agent
   * from enforcing.
   */
  async #startAnswering(): Promise<void> {
    try {
      const address = await this.#queries?.start();
      if (address === undefined) return;
      this.#log.info({ address: formatListenAddress(address) }, 'answering questions');
      if (!isLoopback(address))
        this.#log.warn(
          { address: formatListenAddress(address) },
          'whoever reaches this address can read which pods talk to each other, without a password: leave --query-address on 127.0.0.1, and use kubectl port-forward',
        );
    } catch (error) {
      this.#log.error({ err: error }, 'questions will not be answered');
    }
  }

  #nodeFacts(): NodeChecks | undefined {
    const inForce = this.#agent.mode();
    if (this.#stopping || inForce === undefined) return undefined;
    const { pods, policies } = this.#source.snapshot();
    return { ...inForce, queues: this.#agent.queues, pods: pods.length, policies: policies.length };
  }

  /**
   * Warns if no pod is on this node: with a wrong node name nothing would be enforced, and nothing
   * would look wrong.
   */
  #doubtNodeName({ pods }: ClusterSnapshot): void {
    const nodes = new Set(pods.flatMap(({ nodeName = [] }) => nodeName));
    if (nodes.size === 0 || nodes.has(this.nodeName)) return;
    const [anyOther] = nodes;
    this.#log.warn(
      { nodesWithPods: nodes.size, nearest: nearest(this.nodeName, nodes) ?? anyOther },
      'no pod of the cluster is on this node, so nothing is enforced: is --node-name right?',
    );
  }
}

function waitingFor({ location, kinds }: SourceView): string {
  // Nothing waits for the nodes.
  const missing = kinds.filter(({ synced, kind }) => !synced && kind !== 'Node').map(({ kind }) => kind);
  return missing.length > 0
    ? `waiting for the first list of ${missing.join(', ')} from ${location}`
    : `waiting for the first records from ${location}`;
}

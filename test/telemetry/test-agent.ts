/** An agent whose state the test sets, in the shapes of the real one. */
import { nameCounters } from '../../src/agent/counters.ts';
import type { AgentCounters } from '../../src/agent-state/counters.ts';
import type { PodStartStatus } from '../../src/agent-state/pod-starts.ts';
import type { SpoofingStatus } from '../../src/agent-state/spoofing.ts';
import type { StartupTaintStatus } from '../../src/agent-state/startup-taint.ts';
import type { ClusterWatchStatus, KindStatus } from '../../src/agent-state/watch-status.ts';
import { STATES } from '../../src/conntrack/states.ts';
import { verdictsOfReasons } from '../../src/filter/verdict.ts';
import type { PolicyFlowCount } from '../../src/flows/policy-flow-counter.ts';
import { WorkerCounters } from '../../src/judging/counters.ts';
import { FAILURES, type Failure } from '../../src/kube/api-error.ts';
import type { AgentView, EnforcementMode, Readiness, WorkersView } from '../../src/telemetry/agent-view.ts';

const KINDS = ['Namespace', 'Pod', 'NetworkPolicy'] as const;

export const REASON_WORDS = verdictsOfReasons();

export class TestAgent implements AgentView {
  readonly version = '1.2.3';
  readonly nodeName = 'node-a';
  readonly words = { reasons: REASON_WORDS, flowStates: STATES.slice(1) };
  readonly worker = new WorkerCounters();
  queues: AgentCounters['queues'] = [0, 1].map((index) => ({
    queue: 100 + index,
    waiting: 0,
    droppedByKernel: 0,
    droppedByUser: 0,
  }));
  copies: AgentCounters['copies'];
  readonly rest = {
    revoked: 0,
    flowCapacity: 65_536,
    workerRestarts: 0,
    steeringRepairs: 0,
    pendingChangeAge: 0,
    generation: 0,
    tableBytes: 0,
    steeredAddresses: 0,
    rejudged: 0,
    steeredEndpoints: 0,
    endpoints: 0,
    sharedAddresses: 0,
    refusedPolicies: 0,
    policies: 0,
    identities: 0,
  };
  state: Readiness = { ready: false, reason: 'waiting for the first lists' };
  working: WorkersView = { wanted: 2, alive: 2 };
  watch: ClusterWatchStatus = {
    server: 'https://10.0.0.1',
    synced: false,
    age: undefined,
    kinds: KINDS.map(kindStatus),
  };
  policyFlows?: () => Iterable<PolicyFlowCount>;
  enforcementMode?: () => EnforcementMode | undefined;
  logLinesLost?: () => number;
  podStarts?: () => PodStartStatus;
  spoofing?: () => SpoofingStatus;
  startupTaint?: () => StartupTaintStatus;
  /** How often the counters were read. */
  asked = 0;

  counters(): AgentCounters {
    this.asked++;
    return {
      ...nameCounters(this.worker),
      ...this.rest,
      queues: this.queues,
      ...(this.copies && { copies: this.copies }),
    };
  }

  workers(): WorkersView {
    return this.working;
  }

  readiness(): Readiness {
    return this.state;
  }

  source() {
    return { type: 'kubernetes', location: this.watch.server, ...this.watch } as const;
  }
}

export function kindStatus(kind: KindStatus['kind']): KindStatus {
  return {
    kind,
    synced: false,
    watching: false,
    resourceVersion: undefined,
    records: 0,
    lastEventAge: undefined,
    lists: 0,
    restarts: Object.fromEntries(FAILURES.map((failure) => [failure, 0])) as Record<Failure, number>,
    unreadable: 0,
    lastError: undefined,
  };
}

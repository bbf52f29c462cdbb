/**
 * The answer of `/status`: the state of the agent, for people and scripts. Fields may be added;
 * those here stay.
 */

import type { ChangeTimes } from '../agent-state/change-times.ts';
import type { AgentCounters, CopyCounts } from '../agent-state/counters.ts';
import type { PodStartState, PodStartStatus } from '../agent-state/pod-starts.ts';
import type { SpoofingState, SpoofingStatus } from '../agent-state/spoofing.ts';
import type { StartupTaintStatus } from '../agent-state/startup-taint.ts';
import type { KindStatus } from '../agent-state/watch-status.ts';
import type { Finding } from '../doctor/finding.ts';
import type {
  AgentView,
  EnforcementMode,
  RefusedPoliciesView,
  SharedAddressesView,
  SourceView,
  UnknownPortNamesView,
} from './agent-view.ts';

/**
 * Times are ISO 8601 in UTC, durations are in seconds, sizes in bytes. Counts begin with the
 * agent's start.
 */
export interface Status {
  readonly version: string;
  readonly nodeVersion: string;
  /** The Kubernetes node. */
  readonly node: string;
  readonly uptimeSeconds: number;
  readonly ready: boolean;
  /** When policies came into force; null while not ready. */
  readonly readySince: string | null;
  /** Why the agent is not ready; null while it is. */
  readonly notReady: string | null;
  readonly source: {
    readonly type: 'kubernetes' | 'manifests';
    readonly location: string;
    /** The watched kinds; [] for manifests. */
    readonly kinds: readonly WatchedKind[];
  };
  /** How it enforces; null before it does. */
  readonly mode: EnforcementMode | null;
  /** The policies in force now. */
  readonly enforced: {
    /** Number of the RuleTable. */
    readonly generation: number;
    readonly tableBytes: number;
    readonly policies: number;
    readonly identities: number;
    readonly isolatedEndpoints: number;
    readonly isolatedAddresses: number;
  };
  /**
   * Named ports that no candidate pod has, in policies that select a pod of this node: such an
   * entry allows nothing. `listed` has the first 50.
   */
  readonly unknownPortNames: UnknownPortNamesView;
  /**
   * Addresses that several pods have: each is isolated if one of its pods is, and may do only what
   * all of them may.
   */
  readonly sharedAddresses: SharedAddressesView;
  /**
   * Policies that exceed their budget of the rule table: they isolate their pods and allow nothing.
   * `listed` has the first 50.
   */
  readonly refusedPolicies: RefusedPoliciesView;
  readonly packets: {
    readonly judged: number;
    readonly allowed: number;
    /** Allowed packets that audited policies would deny. */
    readonly wouldBeDenied: number;
    readonly denied: number;
    readonly offloaded: number;
    /** Denied packets by reason; only reasons that occurred. */
    readonly deniedBy: Readonly<Record<string, number>>;
  };
  readonly flows: {
    /** Now in the flow tables. */
    readonly tracked: number;
    readonly capacity: number;
    readonly evicted: number;
    readonly rejudged: number;
    readonly revoked: number;
  };
  /** How often the agent restored kernel rules that other software had removed. */
  readonly steeringRepairs: number;
  readonly workers: { readonly wanted: number; readonly alive: number; readonly restarts: number };
  readonly queues: AgentCounters['queues'];
  /** null unless in audit mode. */
  readonly copies: CopyCounts | null;
  /** What makes sure that a pod's first packet is judged. */
  readonly podStarts: {
    /** See PodStartState. */
    readonly state: PodStartState;
    /** Name and version of the container runtime; null unless it waits for the agent. */
    readonly runtime: string | null;
    /** Why the last connection to the runtime ended. It stays after recovery. */
    readonly lastError: string | null;
    /** Pods whose addresses were in force before their containers started. */
    readonly inForce: number;
    /** Pods that were refused, because their addresses were not in force in time. */
    readonly refused: number;
    /** Pods that started before their addresses were in force. */
    readonly unjudged: number;
    /** How long the runtime waited for the last pod; null before the first. */
    readonly lastWaitSeconds: number | null;
  };
  /** What is done about packets with forged source addresses. */
  readonly spoofing: {
    /** See SpoofingState. */
    readonly state: SpoofingState;
    /**
     * How many ranges of addresses the nodes give to pods, adjacent ones joined; null if unknown.
     */
    readonly podRanges: number | null;
    /** Dropped packets by incoming interface, as of the last check (every 10 s). */
    readonly dropped: Readonly<Record<string, number>>;
    /** Why packets cannot be checked, or the rules are not all in place; null if all is well. */
    readonly problem: string | null;
  };
  /** null if the agent removes no taint. */
  readonly startupTaint: {
    readonly key: string;
    /** See StartupTaintState. */
    readonly state: StartupTaintStatus['state'];
    /** Failed attempts. */
    readonly failures: number;
    /** It stays after recovery. */
    readonly lastError: string | null;
  } | null;
  /** Findings of the last check of this node, good and bad, as in `podfence doctor --json`. */
  readonly findings: readonly Finding[];
  /** Since that check, which runs every three minutes; null before the first. */
  readonly findingsAgeSeconds: number | null;
  readonly lag: {
    /**
     * Since the source last reported on the kind that it has been silent about longest; null before
     * its first report.
     */
    readonly knowledgeAgeSeconds: number | null;
    /** Age of the oldest change that is not in force yet; 0 if all are. */
    readonly pendingChangeSeconds: number;
    /**
     * The last change that came into force; null before the first. The records found at the start
     * are not a change.
     */
    readonly lastChange: {
      readonly at: string;
      readonly records: number;
      readonly compileSeconds: number;
      /** From its first event until it was in force. */
      readonly totalSeconds: number;
    } | null;
  };
}

interface WatchedKind {
  readonly kind: string;
  readonly synced: boolean;
  readonly watching: boolean;
  readonly records: number;
  readonly resourceVersion: string | null;
  readonly lastEventAgeSeconds: number | null;
  readonly lists: number;
  readonly restarts: Readonly<Record<string, number>>;
  readonly unreadable: number;
  /** It stays after recovery. */
  readonly lastError: { readonly code: string; readonly message: string; readonly ageSeconds: number } | null;
}

export function statusOf(view: AgentView, lastChange: (ChangeTimes & { readonly at: Date }) | undefined): Status {
  const counters = view.counters();
  const readiness = view.readiness();
  const source = view.source();
  return {
    version: view.version,
    nodeVersion: process.versions.node,
    node: view.nodeName,
    uptimeSeconds: process.uptime(),
    ready: readiness.ready,
    readySince: readiness.ready ? readiness.since.toISOString() : null,
    notReady: readiness.ready ? null : readiness.reason,
    source: { type: source.type, location: source.location, kinds: source.kinds.map(kindStatus) },
    mode: view.enforcementMode?.() ?? null,
    enforced: {
      generation: counters.generation,
      tableBytes: counters.tableBytes,
      policies: counters.policies,
      identities: counters.identities,
      isolatedEndpoints: counters.steeredEndpoints,
      isolatedAddresses: counters.steeredAddresses,
    },
    unknownPortNames: view.unknownPortNames?.() ?? { count: 0, listed: [] },
    sharedAddresses: view.sharedAddresses?.() ?? { count: 0, listed: [] },
    refusedPolicies: view.refusedPolicies?.() ?? { count: 0, listed: [] },
    packets: packetStatus(counters),
    flows: {
      tracked: sum(counters.flows.map(({ count }) => count)),
      capacity: counters.flowCapacity,
      evicted: sum(Object.values(counters.flowsEvicted)),
      rejudged: counters.rejudged,
      revoked: counters.revoked,
    },
    steeringRepairs: counters.steeringRepairs,
    workers: { ...view.workers(), restarts: counters.workerRestarts },
    queues: counters.queues,
    copies: counters.copies ?? null,
    podStarts: podStartStatus(view.podStarts?.()),
    spoofing: spoofingStatus(view.spoofing?.()),
    startupTaint: taintStatus(view.startupTaint?.()),
    findings: view.findings?.() ?? [],
    findingsAgeSeconds: seconds(view.findingsAge?.()),
    lag: {
      knowledgeAgeSeconds: seconds(source.age),
      pendingChangeSeconds: counters.pendingChangeAge,
      lastChange:
        lastChange === undefined
          ? null
          : {
              at: lastChange.at.toISOString(),
              records: lastChange.changes,
              compileSeconds: lastChange.compile,
              totalSeconds: lastChange.total,
            },
    },
  };
}

function packetStatus({ packets, judged, offloaded }: AgentCounters): Status['packets'] {
  const deniedBy: Record<string, number> = {};
  for (const { verdict, reason, count } of packets) {
    if (verdict === 'deny' && count > 0) deniedBy[reason] = (deniedBy[reason] ?? 0) + count;
  }
  const denied = sum(Object.values(deniedBy));
  const wouldBeDenied = sum(packets.filter(({ verdict }) => verdict === 'would_deny').map(({ count }) => count));
  return { judged, allowed: judged - denied, wouldBeDenied, denied, offloaded, deniedBy };
}

function kindStatus(watch: KindStatus): WatchedKind {
  const { kind, synced, watching, records, lists, restarts, unreadable, lastError } = watch;
  return {
    kind,
    synced,
    watching,
    records,
    resourceVersion: watch.resourceVersion ?? null,
    lastEventAgeSeconds: seconds(watch.lastEventAge),
    lists,
    restarts,
    unreadable,
    lastError:
      lastError === undefined
        ? null
        : { code: lastError.code, message: lastError.message, ageSeconds: lastError.age / 1000 },
  };
}

const NO_WAITS = { bounds: [], counts: [0], sum: 0 };
const NO_POD_STARTS: PodStartStatus = { state: 'off', inForce: 0, refused: 0, unjudged: 0, waits: NO_WAITS };

function podStartStatus(starts = NO_POD_STARTS): Status['podStarts'] {
  const { state, runtime, lastError, inForce, refused, unjudged, lastWait } = starts;
  return {
    ...{ state, runtime: runtime ?? null, lastError: lastError ?? null },
    ...{ inForce, refused, unjudged, lastWaitSeconds: lastWait ?? null },
  };
}

const NO_SPOOFING: SpoofingStatus = { state: 'allow', dropped: new Map() };

function spoofingStatus({ state, podRanges, dropped, problem }: SpoofingStatus = NO_SPOOFING): Status['spoofing'] {
  return { state, podRanges: podRanges ?? null, dropped: Object.fromEntries(dropped), problem: problem ?? null };
}

function taintStatus(taint: StartupTaintStatus | undefined): Status['startupTaint'] {
  return taint === undefined ? null : { ...taint, lastError: taint.lastError ?? null };
}

/** Says how old the knowledge is: since the source last reported anything, and for each kind. */
export function describeAge({ type, location, age, kinds }: SourceView): string {
  const [from, verb] =
    type === 'kubernetes' ? [`the API server ${location}`, 'heard'] : [`the manifests ${location}`, 'read'];
  if (age === undefined) return `nothing known yet from ${from}`;
  const since = ({ lastEventAge = age }: KindStatus) => (lastEventAge / 1000).toFixed(1);
  const youngest = Math.min(age, ...kinds.map(({ lastEventAge = age }) => lastEventAge));
  const byKind = kinds.map((each) => `${each.kind} ${since(each)}${each.watching ? '' : ', no watch open'}`).join('; ');
  return `${from} last ${verb} ${(youngest / 1000).toFixed(1)} seconds ago${byKind === '' ? '' : ` (${byKind})`}`;
}

function seconds(milliseconds: number | undefined): number | null {
  return milliseconds === undefined ? null : milliseconds / 1000;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The answer of /status: what the agent does and holds, for people and scripts. Fields may be added; those here stay. */

import type { ChangeTimes } from '../agent-state/change-times.ts';
import type { AgentCounters, CopyCounts } from '../agent-state/counters.ts';
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

/** Times are ISO 8601 in UTC, durations are in seconds, sizes in bytes, and counts of all time since the agent started. */
export interface Status {
  readonly version: string;
  readonly nodeVersion: string;
  /** The Kubernetes node. */
  readonly node: string;
  readonly uptimeSeconds: number;
  readonly ready: boolean;
  /** Since when policies are in force; null while not ready. */
  readonly readySince: string | null;
  /** Why not ready; null while ready. */
  readonly notReady: string | null;
  readonly source: {
    readonly type: 'kubernetes' | 'manifests';
    readonly location: string;
    /** What is watched; [] for manifests. */
    readonly kinds: readonly WatchedKind[];
  };
  /** How it enforces; null before it does. */
  readonly mode: EnforcementMode | null;
  /** Now. */
  readonly enforced: {
    /** Number of the RuleTable. */
    readonly generation: number;
    readonly tableBytes: number;
    readonly policies: number;
    readonly identities: number;
    readonly isolatedEndpoints: number;
    readonly isolatedAddresses: number;
  };
  /** Named ports that no pod in question has, in policies that select a pod of this node: such an entry allows nothing. `listed` has the first 50. */
  readonly unknownPortNames: UnknownPortNamesView;
  /** Addresses that several pods have: each is isolated if one of them is, and may do what all of them may. */
  readonly sharedAddresses: SharedAddressesView;
  /** Policies that ask for more of the rule table than they may have: they isolate their pods and allow nothing. `listed` has the first 50. */
  readonly refusedPolicies: RefusedPoliciesView;
  readonly packets: {
    readonly judged: number;
    readonly allowed: number;
    /** Of the allowed ones those that audited policies would deny. */
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
  /** How often kernel rules were put in place again that other software had taken away. */
  readonly steeringRepairs: number;
  readonly workers: { readonly wanted: number; readonly alive: number; readonly restarts: number };
  readonly queues: AgentCounters['queues'];
  /** In audit mode. */
  readonly copies: CopyCounts | null;
  /** null where no taint is to be taken away. */
  readonly startupTaint: {
    readonly key: string;
    /**
     * `waiting` for the policies to be in force, `removing`, `failing` and tried again, `removed`, or `absent`:
     * the node had none.
     */
    readonly state: StartupTaintStatus['state'];
    /** Attempts that failed. */
    readonly failures: number;
    /** It stays when all is well again. */
    readonly lastError: string | null;
  } | null;
  /**
   * Of this node, as `podfence doctor --json` has them: what the last look at it found, good and
   * bad.
   */
  readonly findings: readonly Finding[];
  /** Since that look, of which there is one every three minutes; null before the first. */
  readonly findingsAgeSeconds: number | null;
  readonly lag: {
    /** Since the source was last heard of the kind that it was heard of the longest ago; null before that. */
    readonly knowledgeAgeSeconds: number | null;
    /** Of the oldest change that is not in force yet; 0 where all are. */
    readonly pendingChangeSeconds: number;
    /** The last change that came into force; null before the first one. What is there at the start is none. */
    readonly lastChange: {
      readonly at: string;
      readonly records: number;
      readonly compileSeconds: number;
      /** From its first event to in force. */
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
  /** It stays when all is well again. */
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

function taintStatus(taint: StartupTaintStatus | undefined): Status['startupTaint'] {
  return taint === undefined ? null : { ...taint, lastError: taint.lastError ?? null };
}

/** How old the knowledge is, in words: since the source was last heard at all, and for each kind where they differ. */
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

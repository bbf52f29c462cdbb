/** What telemetry sees of a running agent. Everything is read when somebody asks, on the main thread, and must not wait for anything. */
import type { AgentCounters } from '../agent-state/counters.ts';
import type { StartupTaintStatus } from '../agent-state/startup-taint.ts';
import type { KindStatus } from '../agent-state/watch-status.ts';
import type { Finding } from '../doctor/finding.ts';
import type { Verdict } from '../filter/verdict.ts';
import type { PolicyFlowCount } from '../flows/policy-flow-counter.ts';

export interface AgentView {
  /** podfence's own version. */
  readonly version: string;
  readonly nodeName: string;
  readonly words: Words;
  counters(): AgentCounters;
  workers(): WorkersView;
  readiness(): Readiness;
  source(): SourceView;
  /** How packets are handed over and judged; undefined while the agent is not that far yet. */
  enforcementMode?(): EnforcementMode | undefined;
  /** Named ports of policies that no pod in question has. Without it nobody looks. */
  unknownPortNames?(): UnknownPortNamesView;
  /** Addresses that several pods have, none of which is the likelier owner. Without it nobody looks. */
  sharedAddresses?(): SharedAddressesView;
  /** Policies that ask for more of the rule table than they may have. Without it nobody looks. */
  refusedPolicies?(): RefusedPoliciesView;
  /** Lines of the log that could not be written. Without it none are lost. */
  logLinesLost?(): number;
  /** What the last look at the node found; none before the first one. Without it nobody looks. */
  findings?(): readonly Finding[];
  /** Milliseconds since then. */
  findingsAge?(): number | undefined;
  /** Allowed and denied flows of each policy since the agent runs. Without it there are no metrics by policy. */
  policyFlows?(): Iterable<PolicyFlowCount>;
  /** Without it no taint is taken away from the node. */
  startupTaint?(): StartupTaintStatus;
}

/** All names that can occur in what is counted, so that each series is there, as 0, before it first happens. */
export interface Words {
  /** Reasons of the filter, with each verdict that they can come with. */
  readonly reasons: readonly { readonly verdict: Verdict; readonly reason: string }[];
  /** The states that a flow can be in, each beginning with its protocol: `tcp-syn-sent`. */
  readonly flowStates: readonly string[];
}

export interface WorkersView {
  /** Queue workers that should be judging packets; 0 while the agent is not that far yet. */
  readonly wanted: number;
  readonly alive: number;
}

export type Readiness =
  /** Policies are in force, since then. */
  | { readonly ready: true; readonly since: Date }
  /** @param reason what the agent waits for or what is wrong, in one line */
  | { readonly ready: false; readonly reason: string };

/** What is in force of the settings of the same names. */
export interface EnforcementMode {
  /** `audit`: nothing is enforced. */
  readonly mode: 'enforce' | 'audit';
  /** What the probe of the kernel found, where the setting is auto. */
  readonly steering: 'nftables' | 'iptables';
  readonly offload: boolean;
  /** What of its kernel rules the agent hears of at once when other software changes it; at the rest it looks every 10 s. */
  readonly changesTold?: 'rules and sets' | 'rules' | 'nothing';
  /** Without a meaning where nothing is enforced. */
  readonly fail?: 'closed' | 'open';
  readonly deny?: 'drop' | 'reject';
  /** Whether first packets of UDP flows through Services are judged before routing, for an older kernel would lose some of them behind it. */
  readonly beforeRouting?: boolean;
}

/** Where the cluster's records come from. */
export interface SourceView {
  readonly type: 'kubernetes' | 'manifests';
  /** The address of the API server, or the paths of the manifests. */
  readonly location: string;
  /** Age of the oldest knowledge, in ms: that of the kind that was heard of the longest ago. Undefined until there is any. */
  readonly age: number | undefined;
  /** What is watched; [] for manifests. */
  readonly kinds: readonly KindStatus[];
}

export interface SharedAddressesView {
  readonly count: number;
  /** The first of them. Pods are `namespace/name`. */
  readonly listed: readonly { readonly address: string; readonly pods: readonly string[] }[];
}

export interface RefusedPoliciesView {
  readonly count: number;
  /** The first of them, `namespace/name`, and why. */
  readonly listed: readonly { readonly policy: string; readonly reason: string }[];
}

export interface UnknownPortNamesView {
  /** Entries of policies that select a pod of this node, now. */
  readonly count: number;
  /** Some of them. */
  readonly listed: readonly {
    /** `namespace/name`. */
    readonly policy: string;
    /** `spec.ingress[0].ports[0].port`. */
    readonly field: string;
    readonly message: string;
    readonly hint: string;
  }[];
}

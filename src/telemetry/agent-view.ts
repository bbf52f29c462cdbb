/**
 * What telemetry reads of a running agent. It reads on request, on the main thread; nothing here
 * may wait.
 */
import type { AgentCounters } from '../agent-state/counters.ts';
import type { PodStartStatus } from '../agent-state/pod-starts.ts';
import type { SpoofingStatus } from '../agent-state/spoofing.ts';
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
  /** How packets are handed over and judged; undefined until the agent has set that up. */
  enforcementMode?(): EnforcementMode | undefined;
  /** Named ports in policies that no candidate pod has. Absent: not checked. */
  unknownPortNames?(): UnknownPortNamesView;
  /** Addresses that several pods have, none of them the likelier owner. Absent: not checked. */
  sharedAddresses?(): SharedAddressesView;
  /** Policies refused because they exceed their budget of the rule table. Absent: not checked. */
  refusedPolicies?(): RefusedPoliciesView;
  /** Log lines that could not be written. Absent: none are lost. */
  logLinesLost?(): number;
  /** Findings of the last check of the node; none before the first. Absent: not checked. */
  findings?(): readonly Finding[];
  /** Milliseconds since that check. */
  findingsAge?(): number | undefined;
  /**
   * Allowed and denied flows of each policy since the agent started. Absent: no metrics by policy.
   */
  policyFlows?(): Iterable<PolicyFlowCount>;
  /** What is done for pods that start. Absent: nothing. */
  podStarts?(): PodStartStatus;
  /** What is done about forged source addresses. Absent: nothing. */
  spoofing?(): SpoofingStatus;
  /** Absent: the agent removes no taint. */
  startupTaint?(): StartupTaintStatus;
}

/** All label values that can occur, so that each series exists as 0 before its first event. */
export interface Words {
  /** Reasons of the filter, each with every verdict that it can have. */
  readonly reasons: readonly { readonly verdict: Verdict; readonly reason: string }[];
  /** States of a flow, each prefixed with its protocol: `tcp-syn-sent`. */
  readonly flowStates: readonly string[];
}

export interface WorkersView {
  /** Queue workers that should be judging packets; 0 until the agent starts them. */
  readonly wanted: number;
  readonly alive: number;
}

export type Readiness =
  /** Policies have been in force since then. */
  | { readonly ready: true; readonly since: Date }
  /** @param reason what the agent waits for or what is wrong, in one line */
  | { readonly ready: false; readonly reason: string };

/** The settings in force, under the settings' own names. */
export interface EnforcementMode {
  /** `audit`: nothing is enforced. */
  readonly mode: 'enforce' | 'audit';
  /** What the probe of the kernel found, if the setting is auto. */
  readonly steering: 'nftables' | 'iptables';
  readonly offload: boolean;
  /**
   * Which of podfence's kernel rules the kernel reports changes to at once. The agent checks the
   * others every 10 s.
   */
  readonly changesTold?: 'rules and sets' | 'rules' | 'nothing';
  /** Absent in audit mode, like the next two. */
  readonly fail?: 'closed' | 'open';
  readonly deny?: 'drop' | 'reject';
  /**
   * Whether first packets of UDP flows through Services are judged before routing, because an older
   * kernel would lose some of them after it.
   */
  readonly beforeRouting?: boolean;
}

/** Where the cluster's records come from. */
export interface SourceView {
  readonly type: 'kubernetes' | 'manifests';
  /** The address of the API server, or the paths of the manifests. */
  readonly location: string;
  /**
   * Age of the oldest knowledge, in ms: the greatest of all kinds. Undefined until there is any.
   */
  readonly age: number | undefined;
  /** The watched kinds; [] for manifests. */
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
  /** Entries in policies that select a pod of this node, now. */
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

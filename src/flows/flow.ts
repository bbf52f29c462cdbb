/**
 * A flow as the flow log reports it: the documented shape of `/flows` and of `podfence flows
 * --json`. Fields may be added; those here stay.
 */

import type { Direction } from '../cluster/records.ts';
import type { FlowEnd } from '../explain/flow-end.ts';
import type { Verdict } from '../filter/verdict.ts';

/**
 * Names are those at the time of the sighting. An end known only by its address gets the name of
 * the pod whose record comes later.
 */
export interface Flow {
  readonly verdict: Verdict;
  /**
   * The direction that denies or would deny the flow. For an allowed flow: egress if its source is
   * a pod of this node, else ingress.
   */
  readonly direction: Direction;
  /** One of REASONS in filter/reasons.ts. */
  readonly reason: string;
  /** TCP, UDP, SCTP, ICMP, ICMPv6, or the IANA number. */
  readonly protocol: string;
  /** Destination port; null if the protocol has no ports, and for a fragment without them. */
  readonly port: number | null;
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  /**
   * Allowed: the policies that allow it, each with the first of its rules that does, in every
   * direction that this node enforces. Denied: the policies that isolate the pod in the direction
   * that denied. Would be denied: the audited policies that select the pod in that direction.
   */
  readonly policies: readonly FlowPolicy[];
}

export interface FlowPolicy {
  readonly direction: Direction;
  readonly namespace: string;
  readonly name: string;
  /** Counted from 1 among the rules of its direction; null if none allows the flow. */
  readonly rule: number | null;
  /** `spec.ingress[0]`; null if `rule` is. */
  readonly field: string | null;
}

/**
 * Repeats share a line and raise its count, whatever source port they use, as long as verdict,
 * reason, ends, destination port and policies stay the same.
 */
export interface FlowLine extends Flow {
  /** Identifies the line while the agent runs. */
  readonly id: number;
  /** ISO 8601 in UTC. */
  readonly first: string;
  readonly last: string;
  /** Flows, or packets if they open no flow. */
  readonly count: number;
  /** The source port last seen; null if `port` is. */
  readonly sourcePort: number | null;
}

/** What a reader of flows did not get. */
export interface LeftOut {
  /** Lines older than the query asked for. */
  readonly earlier: number;
  /**
   * Events that came faster than the log notes them. Which flows they belong to, and whether they
   * are repeats, is unknown.
   */
  readonly flood: number;
  /** Lines that the log dropped before the reader took them. */
  readonly slow: number;
}

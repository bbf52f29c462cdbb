/** A flow as the log of flows tells it: the documented shape of `/flows` and of `podfence flows --json`. Fields may be added; those here stay. */

import type { Direction } from '../cluster/records.ts';
import type { FlowEnd } from '../explain/flow-end.ts';
import type { Verdict } from '../filter/verdict.ts';

/** Names are those of the time at which it was noted; an end of which only the address was known gets the name of the pod whose record came later. */
export interface Flow {
  readonly verdict: Verdict;
  /** Of a flow that is or would be denied the direction that does it; of an allowed one egress where its source is a pod of this node, or else ingress. */
  readonly direction: Direction;
  /** A word of filter/reasons.ts. */
  readonly reason: string;
  /** TCP, UDP, SCTP, ICMP, ICMPv6, or the IANA number. */
  readonly protocol: string;
  /** The destination's; null where the protocol has no ports, and for a fragment without them. */
  readonly port: number | null;
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  /**
   * Of an allowed flow those that allow it, each with the first of its rules that does, in every direction that is enforced on this node. Of a denied one
   * those that isolate its pod in the direction that denied, and of one that would be the audited ones that select it there.
   */
  readonly policies: readonly FlowPolicy[];
}

export interface FlowPolicy {
  readonly direction: Direction;
  readonly namespace: string;
  readonly name: string;
  /** From 1, among the rules of its direction; null where none allows the flow. */
  readonly rule: number | null;
  /** `spec.ingress[0]`; null as `rule` is. */
  readonly field: string | null;
}

/**
 * What a client repeats, from whatever port of its own, is one line, whose count grows: as long as verdict, reason, ends, destination port and policies are
 * the same.
 */
export interface FlowLine extends Flow {
  /** Of the line, for as long as the agent runs. */
  readonly id: number;
  /** ISO 8601 in UTC. */
  readonly first: string;
  readonly last: string;
  /** Flows; of what opens no flow, packets. */
  readonly count: number;
  /** The one last seen; null as `port` is. */
  readonly sourcePort: number | null;
}

/** What somebody who reads flows does not get to see. */
export interface LeftOut {
  /** Lines older than those that were asked for. */
  readonly earlier: number;
  /** Events that came faster than they are noted; of what flows, and whether they were repeated ones, is not known. */
  readonly flood: number;
  /** Lines that the reader was too slow for. */
  readonly slow: number;
}

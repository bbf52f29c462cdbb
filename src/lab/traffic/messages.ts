/**
 * Messages between the lab's thread and its traffic thread. Network namespaces are passed as
 * descriptors, which all threads share.
 */
import type { Protocol } from '../../cluster/records.ts';

/** One listening socket; `speaker` is its name in answers (`namespace/name` of its pod). */
export interface ListenSpec {
  readonly netns: number;
  readonly speaker: string;
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/**
 * A listener that could not be opened because another pod of the same host network has the port.
 */
export interface ListenFailure {
  readonly spec: ListenSpec;
  /** Symbolic errno. */
  readonly code: string;
}

/** One attempt to open a connection, from a fresh source port. */
export interface AttemptSpec {
  /** Unique for the lifetime of the traffic thread. */
  readonly id: number;
  readonly netns: number;
  readonly source: string;
  readonly target: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** Source ports to choose from. */
  readonly sourcePorts: PortRange;
  /** Whether to wait for an answer, or to watch that nothing arrives. */
  readonly expectAnswer: boolean;
  /** The listener that must answer. */
  readonly speaker: string;
  /** Where the packets arrive, after destination NAT. */
  readonly arrival: { readonly netns: number; readonly port: number };
}

export interface PortRange {
  readonly first: number;
  readonly count: number;
}

export interface AttemptOutcome {
  readonly id: number;
  readonly sourcePort: number;
  /** The right listener answered. */
  readonly answered: boolean;
  /** Something of the attempt reached its destination, with or without an answer. */
  readonly delivered: boolean;
  /** The peer as the listener saw it, or why there was no answer. */
  readonly detail: string;
}

/** Times in ms. */
export interface Timing {
  /** How long to wait for an expected answer, after the last attempt was opened. @default 5000 */
  readonly patience: number;
  /**
   * How long to watch, after the last attempt was opened, that nothing arrives for an attempt
   * without an expected answer. @default 800
   */
  readonly watch: number;
}

export type TrafficRequest =
  | { readonly type: 'listen'; readonly specs: readonly ListenSpec[] }
  | { readonly type: 'forget'; readonly netns: readonly number[]; readonly speakers: readonly string[] }
  | { readonly type: 'attempt'; readonly specs: readonly AttemptSpec[]; readonly timing: Timing }
  | { readonly type: 'stop' };

export type TrafficReply =
  | { readonly request: number; readonly type: 'done'; readonly result: unknown }
  | { readonly request: number; readonly type: 'progress'; readonly finished: number }
  | { readonly request: number; readonly type: 'failed'; readonly message: string };

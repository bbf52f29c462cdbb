/**
 * The task of a canary's pod, and the lines that it writes to its log: the only way out of an
 * isolated pod with every CNI.
 */
import type { Family, Pair, Protocol } from './plan.ts';

/** The argument of the pod's program, as JSON. */
export interface PodTask {
  /** Port to serve on for TCP and UDP, on every address; absent if the pod is not a server. */
  readonly listen?: number;
  readonly targets: readonly Target[];
}

export interface Target {
  readonly id: string;
  /** Absent where the pod probes itself. */
  readonly address?: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly held: boolean;
  /** Milliseconds. */
  readonly interval: number;
}

/**
 * How an attempt ended.
 * - `answered` the connection opened, or what was sent came back
 * - `silent` nothing came in time, as if packets are dropped
 * - `refused` a TCP reset or an ICMP port unreachable, as if packets are rejected
 * - `unreachable` another ICMP error, or the kernel did not send
 * - `closed` an open connection ended; there are no further attempts on it
 * - `failed` for a reason in the pod itself, which says nothing about the path
 */
export const RESULTS = ['answered', 'silent', 'refused', 'unreachable', 'closed', 'failed'] as const;
export type Result = (typeof RESULTS)[number];

/**
 * Milliseconds after which an attempt counts as unanswered. The kernel retransmits a SYN after one
 * second and after three (RFC 6298 section 2.1), so one lost packet is no silence. Nor is a peer
 * that waits for the CPU, which takes seconds on a busy CI machine.
 */
export const LIMIT = 4000;

/** Times in ms of the pod's own clock, which starts with its process. */
export interface Attempt {
  readonly start: number;
  readonly end: number;
  readonly result: Result;
}

/** Milliseconds between two lines. */
export const LINE_INTERVAL = 200;

/** One line of the log. */
export interface PodLine {
  /** Line number from 0, so a log that is read again is not counted twice. */
  readonly line: number;
  /** When the line was written, in ms of the pod's clock. */
  readonly now: number;
  /** Index of the target, start and duration in ms, index of the result. */
  readonly attempts: readonly (readonly [target: number, start: number, took: number, result: number])[];
}

/** @returns undefined if the text is not a report, for example a warning of the runtime */
export function parsePodLine(text: string): PodLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { line, now, attempts } = (value ?? {}) as Partial<Record<keyof PodLine, unknown>>;
  if (!isCount(line) || !isCount(now) || !Array.isArray(attempts)) return undefined;
  if (!attempts.every((attempt) => Array.isArray(attempt) && attempt.length === 4 && attempt.every(isCount))) {
    return undefined;
  }
  return { line, now, attempts: attempts as PodLine['attempts'] };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}

export function targetOf({ id, protocol, family, held, interval }: Pair, port: number, address?: string): Target {
  return { id, port, protocol, family, held, interval, ...(address === undefined ? {} : { address }) };
}

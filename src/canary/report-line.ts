/** What a canary's pod is told, and the lines that it writes to its log: the only way out of an isolated pod behind every CNI. */
import type { Family, Pair, Protocol } from './plan.ts';

/** The argument of the pod's program, as JSON. */
export interface PodTask {
  /** Port for TCP and UDP on every address, where the pod serves. */
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
 * - `silent` nothing came in time, as where packets are dropped
 * - `refused` a TCP reset or an ICMP port unreachable, as where packets are rejected
 * - `unreachable` another ICMP error, or the kernel did not send
 * - `closed` an open connection ended; there are no further attempts on it
 * - `failed` for a reason of the pod's own, which says nothing about the way
 */
export const RESULTS = ['answered', 'silent', 'refused', 'unreachable', 'closed', 'failed'] as const;
export type Result = (typeof RESULTS)[number];

/**
 * Milliseconds until an attempt has no answer. The kernel sends a SYN again after one second and
 * after three (RFC 6298 section 2.1), so that a lost packet is no silence, and neither is a peer
 * that waits for the processor: on a busy CI machine for seconds.
 */
export const LIMIT = 4000;

/** Milliseconds of the pod's own clock, which begins with its process. */
export interface Attempt {
  readonly start: number;
  readonly end: number;
  readonly result: Result;
}

/** Milliseconds between two lines. */
export const LINE_INTERVAL = 200;

/** One line of the log. */
export interface PodLine {
  /** Counts lines from 0, so that a log that is read again is not counted twice. */
  readonly line: number;
  /** When the line was written, in ms of the pod's clock. */
  readonly now: number;
  /** Index of the target, start, duration (both in ms), index of the result. */
  readonly attempts: readonly (readonly [target: number, start: number, took: number, result: number])[];
}

/** @returns undefined for what is no such line: a warning of the runtime, say */
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

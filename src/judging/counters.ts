/**
 * A worker's counters, in memory shared with the main thread: float64, so that no count wraps. Only
 * the worker writes. A reader sees each value intact, but not all as of the same instant. Layout:
 *
 *     packets        by direction, whether only audited policies deny it, and reason
 *     offloaded      packets after whose verdict the kernel carries the flow
 *     unanswered     batches whose verdicts the kernel did not take
 *     latency        packets by time from leaving the queue to verdict in force: buckets, sum in s
 *     table events   flows inserted, expired, evicted by worth, as FlowTable counts them
 *     flows          gauge: flows in the table, by list: state, plus REVOKED_LISTS if revoked
 */
import { EVICTED, type FlowTable } from '../conntrack/flow-table.ts';
import { LISTS } from '../conntrack/slots.ts';
import { WORTHS } from '../conntrack/states.ts';
import { REASONS } from '../filter/reasons.ts';

/** Upper bounds of the latency buckets, in seconds; one more bucket counts what took longer. */
export const LATENCY_BOUNDS: readonly number[] = [10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 5e-3, 20e-3, 0.1];

const PACKETS = 0;
const OFFLOADED = PACKETS + 4 * REASONS.length;
const UNANSWERED = OFFLOADED + 1;
const LATENCY = UNANSWERED + 1;
const LATENCY_SUM = LATENCY + LATENCY_BOUNDS.length + 1;
const TABLE_EVENTS = LATENCY_SUM + 1;
const TABLE_EVENT_COUNT = EVICTED + WORTHS.length;
const FLOWS = TABLE_EVENTS + TABLE_EVENT_COUNT;
const COUNTERS = FLOWS + LISTS;

/** One worker's counters, or the sum of several. */
export class WorkerCounters {
  readonly values: Float64Array;

  constructor(buffer: ArrayBufferLike = new ArrayBuffer(COUNTERS * Float64Array.BYTES_PER_ELEMENT)) {
    this.values = new Float64Array(buffer);
  }

  /** Counters that two threads can share. */
  static shared(): SharedArrayBuffer {
    return new SharedArrayBuffer(COUNTERS * Float64Array.BYTES_PER_ELEMENT);
  }

  /** Adds another worker's counters; for a worker that has ended, without its gauges. */
  add(other: WorkerCounters, ended = false): void {
    const length = ended ? FLOWS : COUNTERS;
    for (let i = 0; i < length; i++) this.#increase(i, other.values[i] ?? 0);
  }

  /** @param audited whether only audited policies deny it */
  countPacket(direction: number, reason: number, audited = false): void {
    this.#increase(packetsAt(direction, reason, audited), 1);
  }

  countOffloaded(): void {
    this.#increase(OFFLOADED, 1);
  }

  countUnanswered(): void {
    this.#increase(UNANSWERED, 1);
  }

  /** Counts `packets` packets that took `seconds` each. */
  observeLatency(seconds: number, packets: number): void {
    let bucket = 0;
    while (bucket < LATENCY_BOUNDS.length && seconds > (LATENCY_BOUNDS[bucket] as number)) bucket++;
    this.#increase(LATENCY + bucket, packets);
    this.#increase(LATENCY_SUM, seconds * packets);
  }

  /** Copies the flow table's counts and sizes. */
  observeFlows(flows: FlowTable): void {
    this.values.set(flows.counters, TABLE_EVENTS);
    this.values.set(flows.lists.sizes, FLOWS);
  }

  packets(direction: number, reason: number, audited = false): number {
    return this.#at(packetsAt(direction, reason, audited));
  }

  get offloaded(): number {
    return this.#at(OFFLOADED);
  }

  get unanswered(): number {
    return this.#at(UNANSWERED);
  }

  /** Packets by bucket, not cumulative; the last bucket has no upper bound. */
  get latencyBuckets(): readonly number[] {
    return Array.from(this.values.subarray(LATENCY, LATENCY_SUM));
  }

  /** Seconds. */
  get latencySum(): number {
    return this.#at(LATENCY_SUM);
  }

  /** Returns the count of an event: INSERTED, EXPIRED or EVICTED plus a worth, of flow-table.ts. */
  tableEvents(event: number): number {
    return this.#at(TABLE_EVENTS + event);
  }

  /** Returns how many flows a list of the flow table has. */
  flows(list: number): number {
    return this.#at(FLOWS + list);
  }

  #at(index: number): number {
    return this.values[index] as number;
  }

  #increase(index: number, by: number): void {
    this.values[index] = (this.values[index] as number) + by;
  }
}

function packetsAt(direction: number, reason: number, audited: boolean): number {
  return PACKETS + (2 * direction + (audited ? 1 : 0)) * REASONS.length + reason;
}

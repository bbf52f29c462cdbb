/**
 * Where processes run. The kernel's choice affects the figures more than podfence does. It keeps
 * two pods that talk by turns on one core, where nothing has to be woken on another core, or it
 * does not; and a third process on the path changes its choice. So every variant is measured with
 * the same placement.
 */
import { availableParallelism } from 'node:os';
import { command, type Requirement, requirement, rootOnLinux } from '../harness/requirements.ts';
import { keepOnCores } from '../traffic/core.ts';
import type { EndCores } from '../traffic/iperf.ts';
import type { MeasuredPair } from './measured-pair.ts';

export interface Placement extends EndCores {
  /** As rows name it. */
  readonly name: string;
  /** The cores on which the process that answers the queues may run. */
  readonly answerer: readonly number[];
}

/** Everything on one core: shows only what things cost in CPU time. */
export const ONE_CORE: Placement = { name: 'one core', client: 0, server: 0, answerer: [0] };
/** A pod on each core; the kernel places the process that answers the queues. */
export const TWO_CORES: Placement = { name: 'two cores', client: 0, server: 1, answerer: [0, 1] };

const twoCores: Requirement = () =>
  availableParallelism() >= 2 ? undefined : 'needs two cores: it keeps the pods on one, and then on two';

/** Requirements for measuring pairs of pods in these placements. */
export const placedPairs: Requirement = () =>
  requirement(
    rootOnLinux,
    twoCores,
    ...['iperf3', 'wrk', 'iptables', 'ipset'].map((name) => command(name)),
    command('taskset', 'util-linux'),
  );

/**
 * Moves the pair's servers and the process that answers its queues; clients are started in place.
 */
export function place(pair: MeasuredPair, { server, answerer }: Placement): void {
  for (const { pid } of [pair.echo, pair.http]) keepOnCores([server], pid);
  if (pair.answerer !== undefined) keepOnCores(answerer, pair.answerer);
}

/**
 * Who runs where. The kernel's choice moves what is measured more than podfence does: it keeps two pods that talk by turns on one core, where
 * nobody has to be woken from afar, or does not, and a third party on the way changes its mind. So every variant is measured in the same place.
 */
import { availableParallelism } from 'node:os';
import { command, type Requirement, requirement, rootOnLinux } from '../harness/requirements.ts';
import { keepOnCores } from '../traffic/core.ts';
import type { EndCores } from '../traffic/iperf.ts';
import type { MeasuredPair } from './measured-pair.ts';

export interface Placement extends EndCores {
  /** As rows have it. */
  readonly name: string;
  /** Where the process may run that answers the queues. */
  readonly answerer: readonly number[];
}

/** Everything on one: what anything costs in CPU time, and no more. */
export const ONE_CORE: Placement = { name: 'one core', client: 0, server: 0, answerer: [0] };
/** A pod on each; who answers the queues is where the kernel puts it. */
export const TWO_CORES: Placement = { name: 'two cores', client: 0, server: 1, answerer: [0, 1] };

const twoCores: Requirement = () =>
  availableParallelism() >= 2 ? undefined : 'needs two cores: it keeps the pods on one, and then on two';

/** What it takes to measure pairs of pods in these places. */
export const placedPairs: Requirement = () =>
  requirement(
    rootOnLinux,
    twoCores,
    ...['iperf3', 'wrk', 'iptables', 'ipset'].map((name) => command(name)),
    command('taskset', 'util-linux'),
  );

/** The servers of the pair and whoever answers its queues; clients are started where they belong. */
export function place(pair: MeasuredPair, { server, answerer }: Placement): void {
  for (const { pid } of [pair.echo, pair.http]) keepOnCores([server], pid);
  if (pair.answerer !== undefined) keepOnCores(answerer, pair.answerer);
}

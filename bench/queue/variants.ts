/**
 * What carries packets between two pods: the kernel alone in two ways, podfence in four, and the
 * least that the kernel's queue can cost.
 */
import { clusterOf } from '../traffic/large-cluster.ts';
import { PodPair } from '../traffic/pod-pair.ts';
import { runIn } from '../traffic/two-pods.ts';
import { startFloor } from './floor.ts';
import type { Variant } from './turns.ts';

export const KERNEL = 'kernel only';
export const CONNTRACK = 'kernel with conntrack';
export const OFFLOAD = 'offload';
export const EVERY_PACKET = 'every packet';
export const MANY = ', 10,000 policies';
/** Every packet queued, and answered by a program that accepts all. */
export const FLOOR = 'queue floor';

/** One rule that uses connection tracking makes the kernel track all connections. */
const TRACK = ['iptables', '-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'INVALID', '-j', 'DROP'];

export const VARIANTS: readonly Variant[] = [
  { name: KERNEL, start: () => PodPair.create() },
  { name: CONNTRACK, start: startTracking },
  podfence(OFFLOAD, true, 1),
  podfence(OFFLOAD + MANY, true, 10_000),
  podfence(EVERY_PACKET, false, 1),
  podfence(EVERY_PACKET + MANY, false, 10_000),
  { name: FLOOR, start: startFloor },
];

/** Whether every packet passes through a queue. */
export function queuesEveryPacket(variant: string): boolean {
  return [EVERY_PACKET, EVERY_PACKET + MANY, FLOOR].includes(variant);
}

async function startTracking(): Promise<PodPair> {
  const pair = await PodPair.create();
  await runIn(pair.node, TRACK);
  return pair;
}

function podfence(name: string, offload: boolean, policies: number): Variant {
  return { name, start: () => PodPair.create({ flags: { offload }, snapshot: clusterOf(policies) }) };
}

/**
 * Whether another agent runs on this node, or other software reads what an agent needs. Each is
 * told by the kernel's list of readers, by the rules in place and by the sign beside them.
 */
import { SteeringError } from '../dataplane/steering/error.ts';
import type { Predecessor } from '../dataplane/steering/predecessor.ts';
import type { System } from '../dataplane/steering/run.ts';
import { SIGN_PERIOD } from '../dataplane/steering/sign.ts';
import type { QueueRange } from '../doctor/queues.ts';
import { netlinkHolders } from '../machine/processes.ts';

/** The longest that a running agent gives no sign, in seconds. */
const SILENCE = (2 * SIGN_PERIOD) / 1000;

/** Throws SteeringError ANSWERED where an agent runs whose rules these are. */
export function refuseOtherAgent(system: System, predecessor: Predecessor | undefined): void {
  const { sign, queues, groups } = predecessor ?? {};
  if (sign?.word !== 'judging' || sign.secondsAgo > SILENCE) return;
  const queue = readQueues(system).find(({ number }) => queues?.includes(number));
  const group = readGroups(system).find(({ number }) => groups?.includes(number));
  const reader = queue ?? group;
  if (reader === undefined) return;
  const does = reader === queue ? `answers queue ${queue.number}` : `reads the copies of group ${reader.number}`;
  throw new SteeringError(
    'ANSWERED',
    `another podfence agent runs on this node: it ${does} (${holderOf(system, reader)}), and gave its last sign ${sign.secondsAgo} s ago`,
    'stop it first; two on one node would undo what the other does',
  );
}

/** Throws SteeringError ANSWERED where somebody else reads one of the queues, or one that the rules in place name. */
export function refuseReadQueues(system: System, wanted: QueueRange, predecessor: Predecessor | undefined): void {
  const ofRules = predecessor?.queues ?? [];
  const { first, last } = wanted;
  const isWanted = ({ number }: Reader) => (number >= first && number <= last) || ofRules.includes(number);
  const reader = readQueues(system).find(isWanted);
  if (reader === undefined) return;
  const { number } = reader;
  const isOfRules = ofRules.includes(number);
  const whose = isOfRules
    ? `rules of podfence hand packets to it, but no agent has given a sign within ${SILENCE} s`
    : 'no rule of podfence hands packets to it';
  throw new SteeringError(
    'ANSWERED',
    `queue ${number} is read by other software (${holderOf(system, reader)}): ${whose}`,
    isOfRules
      ? "stop what reads it; or take those rules away with 'podfence cleanup', and give podfence other queues (--first-queue)"
      : 'give podfence other queues (--first-queue), or stop what reads this one',
  );
}

/** A socket that takes packets of a queue, or copies of a group, from the kernel. */
interface Reader {
  readonly number: number;
  /** Netlink port. */
  readonly port: number;
}

function readQueues(system: System): readonly Reader[] {
  return readersIn(system, 'nfnetlink_queue');
}

function readGroups(system: System): readonly Reader[] {
  return readersIn(system, 'nfnetlink_log');
}

/** A line each, number and port first (seq_show in the kernel's nfnetlink_queue.c and nfnetlink_log.c). */
function readersIn(system: System, file: 'nfnetlink_queue' | 'nfnetlink_log'): readonly Reader[] {
  const lines = (system.read(`/proc/thread-self/net/netfilter/${file}`) ?? '').trim().split('\n');
  return lines
    .filter((line) => line !== '')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([number = 0, port = 0]) => ({ number, port }));
}

function holderOf(system: System, { port }: Reader): string {
  const holder = netlinkHolders(system).get(port);
  return holder
    ? `${holder.name}, process ${holder.pid}`
    : `a process that is not to be seen from here, netlink port ${port}`;
}

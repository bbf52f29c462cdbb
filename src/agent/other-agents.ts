/**
 * Refuses to run beside another agent on this node, or beside other software that reads podfence's
 * queues. Three sources show them: the kernel's list of readers, the rules in place, and the sign
 * beside those rules.
 */
import { SteeringError } from '../dataplane/steering/error.ts';
import type { Predecessor } from '../dataplane/steering/predecessor.ts';
import type { System } from '../dataplane/steering/run.ts';
import { SIGN_PERIOD, type Sign } from '../dataplane/steering/sign.ts';
import type { QueueRange } from '../doctor/queues.ts';
import { netlinkHolders } from '../machine/processes.ts';
import { BOUND_GROUPS, BOUND_QUEUES, parseBoundGroups, parseBoundQueues } from '../netlink/bound-queues.ts';

/** An agent whose sign is older than this, in seconds, has ended or hangs. */
const SILENCE = (2 * SIGN_PERIOD) / 1000;

/**
 * Throws SteeringError ANSWERED if a process reads a queue or a group that the rules in place name:
 * whoever removed or replaced those rules would take packets away from it. The sign only tells
 * another agent from other software.
 */
export function refuseReadersOfRules(system: System, predecessor: Predecessor | undefined): void {
  const { sign, queues = [], groups = [] } = predecessor ?? {};
  const queue = parseBoundQueues(system.read(BOUND_QUEUES) ?? '').find((each) => queues.includes(each.queue));
  const group = parseBoundGroups(system.read(BOUND_GROUPS) ?? '').find((each) => groups.includes(each.group));
  const reader = queue ?? group;
  if (reader === undefined) return;
  const what = queue ? `queue ${queue.queue}` : `the copies of group ${group?.group}`;
  const who = holderOf(system, reader.port);
  if (sign?.word === 'judging' && sign.secondsAgo <= SILENCE)
    throw new SteeringError(
      'ANSWERED',
      `another podfence agent runs on this node: it ${queue ? 'answers' : 'reads'} ${what} (${who}), and gave its last sign ${sign.secondsAgo} s ago`,
      "stop it first: two agents on one node would undo each other's rules",
    );
  throw new SteeringError(
    'ANSWERED',
    `rules of podfence hand packets to ${what}, which a process reads (${who}); ${signText(sign)}`,
    'stop that process first: it is an agent that hangs, or other software',
  );
}

/** Throws SteeringError ANSWERED if another process reads one of the wanted queues. */
export function refuseReadQueues(system: System, { first, last }: QueueRange): void {
  const found = parseBoundQueues(system.read(BOUND_QUEUES) ?? '').find(({ queue }) => queue >= first && queue <= last);
  if (found === undefined) return;
  throw new SteeringError(
    'ANSWERED',
    `queue ${found.queue} is read by other software (${holderOf(system, found.port)}): no rule of podfence hands packets to it`,
    'give podfence other queues (--first-queue), or stop the process that reads this one',
  );
}

function signText(sign: Sign | undefined): string {
  if (sign === undefined) return 'no agent has left a sign';
  return sign.word === 'stopped'
    ? `the last agent stopped ${sign.secondsAgo} s ago`
    : `the last sign of an agent is ${sign.secondsAgo} s old`;
}

/** Names the process that owns a netlink port. */
function holderOf(system: System, port: number): string {
  const holder = netlinkHolders(system).get(port);
  return holder
    ? `${holder.name}, process ${holder.pid}`
    : `a process that is not visible from here, netlink port ${port}`;
}

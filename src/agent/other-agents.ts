/**
 * Refuses to run beside another agent on this node, or beside other software that reads podfence's
 * queues. Three sources show them: the kernel's list of readers, the rules in place, and the sign
 * beside those rules.
 */
import { SteeringError } from '../dataplane/steering/error.ts';
import type { Predecessor } from '../dataplane/steering/predecessor.ts';
import type { System } from '../dataplane/steering/run.ts';
import { SIGN_PERIOD } from '../dataplane/steering/sign.ts';
import type { QueueRange } from '../doctor/queues.ts';
import { netlinkHolders } from '../machine/processes.ts';
import { BOUND_GROUPS, BOUND_QUEUES, parseBoundGroups, parseBoundQueues } from '../netlink/bound-queues.ts';

/** An agent whose sign is older than this, in seconds, has ended. */
const SILENCE = (2 * SIGN_PERIOD) / 1000;

/** Throws SteeringError ANSWERED if the agent that owns the rules in place still runs. */
export function refuseOtherAgent(system: System, predecessor: Predecessor | undefined): void {
  const { sign, queues, groups } = predecessor ?? {};
  if (sign?.word !== 'judging' || sign.secondsAgo > SILENCE) return;
  const queue = parseBoundQueues(system.read(BOUND_QUEUES) ?? '').find((each) => queues?.includes(each.queue));
  const group = parseBoundGroups(system.read(BOUND_GROUPS) ?? '').find((each) => groups?.includes(each.group));
  if (queue === undefined && group === undefined) return;
  const does = queue ? `answers queue ${queue.queue}` : `reads the copies of group ${group?.group}`;
  const port = (queue ?? group)?.port ?? 0;
  throw new SteeringError(
    'ANSWERED',
    `another podfence agent runs on this node: it ${does} (${holderOf(system, port)}), and gave its last sign ${sign.secondsAgo} s ago`,
    "stop it first: two agents on one node would undo each other's rules",
  );
}

/**
 * Throws SteeringError ANSWERED if another process reads one of the wanted queues, or one that the
 * rules in place name.
 */
export function refuseReadQueues(system: System, wanted: QueueRange, predecessor: Predecessor | undefined): void {
  const ofRules = predecessor?.queues ?? [];
  const { first, last } = wanted;
  const found = parseBoundQueues(system.read(BOUND_QUEUES) ?? '').find(
    ({ queue }) => (queue >= first && queue <= last) || ofRules.includes(queue),
  );
  if (found === undefined) return;
  const { queue, port } = found;
  const isOfRules = ofRules.includes(queue);
  const whose = isOfRules
    ? `podfence's rules hand packets to it, but no agent has given a sign within ${SILENCE} s`
    : 'no rule of podfence hands packets to it';
  throw new SteeringError(
    'ANSWERED',
    `queue ${queue} is read by other software (${holderOf(system, port)}): ${whose}`,
    isOfRules
      ? "stop its reader; or remove the rules with 'podfence cleanup', and give podfence other queues (--first-queue)"
      : 'give podfence other queues (--first-queue), or stop the reader of this one',
  );
}

/** Names the process that owns a netlink port. */
function holderOf(system: System, port: number): string {
  const holder = netlinkHolders(system).get(port);
  return holder
    ? `${holder.name}, process ${holder.pid}`
    : `a process that is not visible from here, netlink port ${port}`;
}

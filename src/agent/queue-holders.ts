/** Whether somebody answers the queues that an agent wants, or those that the rules it would take over name; and in which words an agent that cannot start says so. */

import { BOUND_QUEUES, parseBoundQueues } from '../dataplane/netlink/bound-queues.ts';
import { SteeringError } from '../dataplane/steering/error.ts';
import type { Predecessor } from '../dataplane/steering/predecessor.ts';
import type { System } from '../dataplane/steering/run.ts';
import type { QueueRange } from '../doctor/queues.ts';
import { netlinkHolders } from '../machine/processes.ts';

export interface WantedQueues {
  readonly wanted: QueueRange;
  /** Whose rules would be taken over. */
  readonly predecessor: Predecessor | undefined;
  /** The longest that an agent that runs gives no sign, in seconds. */
  readonly silence: number;
}

/** Throws SteeringError ANSWERED where one is answered: the likelier cause comes first. */
export function refuseAnsweredQueues(system: System, { wanted, predecessor, silence }: WantedQueues): void {
  const ofRules = predecessor?.queues ?? [];
  const { first, last } = wanted;
  const answered = parseBoundQueues(system.read(BOUND_QUEUES) ?? '');
  const [found] = answered.filter(({ queue }) => (queue >= first && queue <= last) || ofRules.includes(queue));
  if (found === undefined) return;
  const { queue, port } = found;
  const holder = netlinkHolders(system).get(port);
  const who = holder
    ? `${holder.name}, process ${holder.pid}`
    : `a process that is not to be seen from here, netlink port ${port}`;
  const sign = predecessor?.sign;
  if (ofRules.includes(queue) && sign?.word === 'judging' && sign.secondsAgo <= silence) {
    throw new SteeringError(
      'ANSWERED',
      `another podfence agent runs on this node: it answers queue ${queue} (${who}), and gave its last sign ${sign.secondsAgo} s ago`,
      'stop it first; two agents on one node would undo what the other does',
    );
  }
  const isOurs = ofRules.includes(queue)
    ? `rules of podfence hand packets to it, but no agent has given a sign within ${silence} s`
    : 'no rule of podfence hands packets to it';
  throw new SteeringError(
    'ANSWERED',
    `queue ${queue} is read by other software (${who}): ${isOurs}`,
    ofRules.includes(queue)
      ? "stop what reads it; or take those rules away with 'podfence cleanup', and give podfence other queues (--first-queue)"
      : 'give podfence other queues (--first-queue), or stop what reads this one',
  );
}

/** What is said when an agent takes over what an earlier one has left in the kernel: which rules, how that one ended, and for how long nobody judged. */
import type { Predecessor } from '../dataplane/steering/predecessor.ts';

export interface Succession {
  readonly level: 'info' | 'warn';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** In seconds. */
export interface SuccessionTimes {
  /** From when the predecessor's sign was read until packets were judged. */
  readonly since: number;
  /** Between two signs of an agent. */
  readonly period: number;
}

/**
 * What is known is when the earlier agent gave its last sign. One that stopped in order gave it at its end. One that was killed judged on for less than the time between
 * two signs, or for a little longer where it was held up: the least time is an estimate, the longest is not.
 */
export function successionOf({ found, meanwhile, sign }: Predecessor, { since, period }: SuccessionTimes): Succession {
  const passed = `new connections of isolated pods ${meanwhile === 'dropped' ? 'were dropped' : 'passed'} meanwhile`;
  const begin = 'rules of an earlier agent were found and are taken over';
  if (sign === undefined) {
    const fields = { found, earlierAgent: 'left no sign' };
    return { level: 'warn', fields, message: `${begin}: how long nobody judged is not known; ${passed}` };
  }
  const inOrder = sign.word === 'stopped';
  // The kernel tells whole seconds, rounded up.
  const most = rounded(sign.secondsAgo + since);
  const least = rounded(Math.max(0, sign.secondsAgo - 1 - (inOrder ? 0 : period)) + since);
  return {
    level: inOrder ? 'info' : 'warn',
    fields: {
      found,
      earlierAgent: inOrder ? 'stopped in order' : 'ended without a word',
      lastSignSecondsAgo: most,
      ...{ unjudgedSecondsAtLeast: least, unjudgedSecondsAtMost: most },
    },
    message: `${begin}: nobody judged for ${least} to ${most} s; ${passed}`,
  };
}

function rounded(seconds: number): number {
  return Number(seconds.toFixed(1));
}

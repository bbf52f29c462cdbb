/**
 * The log line of an agent that takes over an earlier one's rules: which rules, how that agent
 * ended, and how long no agent judged.
 */
import type { Predecessor } from '../dataplane/steering/predecessor.ts';

export interface Succession {
  readonly level: 'info' | 'warn';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** In seconds. */
export interface SuccessionTimes {
  /** From reading the predecessor's sign until this agent judged packets. */
  readonly since: number;
  /** Between two signs of a running agent. */
  readonly period: number;
}

/**
 * Words the log line. Only the time of the earlier agent's last sign is known. An agent that
 * stopped in order gave it at its end. An agent that was killed judged on for less than one period,
 * or a little longer if it was delayed. So the shortest time is an estimate, and the longest is a
 * bound.
 */
export function successionOf({ found, meanwhile, sign }: Predecessor, { since, period }: SuccessionTimes): Succession {
  const passed = `new connections of isolated pods ${meanwhile === 'dropped' ? 'were dropped' : 'passed'} meanwhile`;
  const begin = 'rules of an earlier agent were found and are taken over';
  if (sign === undefined) {
    const fields = { found, earlierAgent: 'left no sign' };
    return { level: 'warn', fields, message: `${begin}: how long no agent judged is unknown; ${passed}` };
  }
  const inOrder = sign.word === 'stopped';
  // The kernel reports whole seconds, rounded up.
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
    message: `${begin}: no agent judged for ${least} to ${most} s; ${passed}`,
  };
}

function rounded(seconds: number): number {
  return Number(seconds.toFixed(1));
}

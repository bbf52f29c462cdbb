import { expect, it } from 'vitest';
import { successionOf } from '../../src/agent/succession.ts';
import type { Predecessor } from '../../src/dataplane/steering/predecessor.ts';

const FOUND = ['iptables, table mangle: chain PODFENCE-FORWARD'];
const TIMES = { since: 1.5, period: 10 };

function said(sign: Predecessor['sign'], meanwhile: Predecessor['meanwhile'] = 'dropped') {
  const { level, fields, message } = successionOf(
    { found: FOUND, queueing: ['iptables'], queues: [9464], groups: [], meanwhile, sign },
    TIMES,
  );
  expect(fields.found).toBe(FOUND);
  return { level, how: fields.earlierAgent, message };
}

const BEGIN = 'rules of an earlier agent were found and are taken over';

it('an agent that was killed judged until its last sign, and for less than one period after it', () => {
  expect(said({ word: 'judging', secondsAgo: 31 })).toEqual({
    level: 'warn',
    how: 'ended without a word',
    message: `${BEGIN}: no agent judged for 21.5 to 32.5 s; new connections of isolated pods were dropped meanwhile`,
  });
  expect(said({ word: 'judging', secondsAgo: 4 }, 'passed').message).toBe(
    `${BEGIN}: no agent judged for 1.5 to 5.5 s; new connections of isolated pods passed meanwhile`,
  );
});

it('an agent that stopped in order gave its last sign at its end', () => {
  expect(said({ word: 'stopped', secondsAgo: 7 })).toEqual({
    level: 'info',
    how: 'stopped in order',
    message: `${BEGIN}: no agent judged for 7.5 to 8.5 s; new connections of isolated pods were dropped meanwhile`,
  });
});

it('without a sign the message says that the time is unknown', () => {
  expect(said(undefined)).toEqual({
    level: 'warn',
    how: 'left no sign',
    message: `${BEGIN}: how long no agent judged is unknown; new connections of isolated pods were dropped meanwhile`,
  });
});

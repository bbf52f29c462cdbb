import { describe, expect, it } from 'vitest';
import {
  type Isolation,
  judgeAllowed,
  judgeDenied,
  judgeHeld,
  judgeNewPod,
  type Witness,
} from '../../src/canary/judgement.ts';
import type { Attempt, Result } from '../../src/canary/report-line.ts';
import { isConnected, isDenied } from '../../src/canary/series.ts';

/**
 * Isolation from 2 s to 10 s. The API server confirmed it after 50 ms, it is in force from 3 s on,
 * and it is watched until 12 s.
 */
const TIMES: Isolation = {
  open: 1000,
  asked: 2000,
  answered: 2050,
  inForce: 3000,
  removalAsked: 10_000,
  removalAnswered: 10_050,
  over: 12_000,
};

const RESULTS: Readonly<Record<string, Result>> = {
  '+': 'answered',
  '-': 'silent',
  r: 'refused',
  u: 'unreachable',
  c: 'closed',
  f: 'failed',
};

/**
 * Attempts from `start` on, 100 ms apart: `+` answered after 1 ms, `-` silent for 4 s, `r` refused,
 * `u` unreachable, `c` closed, `f` failed.
 */
function series(start: number, text: string): Attempt[] {
  return [...text].map((letter, index) => {
    const result = RESULTS[letter] ?? 'failed';
    const begin = start + index * 100;
    return { start: begin, end: begin + (result === 'silent' ? 4000 : 1), result };
  });
}

/** 20 attempts before isolation, 79 during it, 20 after it. */
function observed(before: string, during: string, after: string): Attempt[] {
  const fill = (text: string, count: number) => text.padEnd(count, text.at(-1)).slice(0, text === '' ? 0 : count);
  return [...series(0, fill(before, 20)), ...series(2060, fill(during, 79)), ...series(10_060, fill(after, 20))];
}

const open: Witness = { name: 'the control pair', attempts: observed('+', '+', '+') };

describe('a denial', () => {
  const judge = (before: string, during: string, after: string, witness = open) =>
    judgeDenied(observed(before, during, after), TIMES, [witness]);

  it('counts if the pair connected before isolation and again after it, with the control pair open throughout', () => {
    expect(judge('+', '-', '+')).toMatchObject({
      outcome: 'denied',
      by: 'silent',
      inForceAfter: 10,
      openAgainAfter: 11,
    });
  });

  it.each([
    ['drop', '-', 'silent'],
    ['reset', 'r', 'refused'],
    ['ICMP error', 'u', 'unreachable'],
  ])('counts by %s', (_, during, by) => {
    expect(judge('+', during, '+')).toMatchObject({ outcome: 'denied', by });
  });

  it('is in force from the first attempt after the last answer', () => {
    expect(judge('+', '+++-+--', '+')).toMatchObject({ outcome: 'denied', inForceAfter: 510 });
  });

  it('ends with the first of three answers in a row', () => {
    expect(judge('+', '-', '--+-+')).toMatchObject({ outcome: 'denied', openAgainAfter: 411 });
  });

  it('ends with the first immediate answer, not with an attempt that was answered after a retransmitted SYN', () => {
    const attempts = observed('+', '-', '');
    const late = { start: 10_010, end: 11_010, result: 'answered' } as const;
    expect(judgeDenied([...attempts, late, ...series(10_110, '+'.repeat(10))], TIMES, [open])).toMatchObject({
      openAgainAfter: 61,
    });
  });

  it('that never holds came through', () => {
    expect(judge('+', '+', '+')).toEqual({ outcome: 'came through', attempts: 79, answers: 79 });
  });

  it('that held and is broken once came through', () => {
    expect(judge('+', '+----------+-', '+')).toMatchObject({ outcome: 'came through', answers: 1, inForceAfter: 110 });
  });

  it('came through, whatever the control pair did', () => {
    const closed = { name: 'the control pair', attempts: observed('+', '-', '+') };
    expect(judge('+', '+', '+', closed)).toMatchObject({ outcome: 'came through' });
  });

  it.each([
    ['the pair did not connect before', '-', '-', '+', 'it did not connect before isolation'],
    [
      'the pair lost its connection just before',
      '++++++++++++++------',
      '-',
      '+',
      'it did not connect before isolation',
    ],
    ['the pair does not connect again', '+', '-', '-', 'it did not connect again after isolation'],
    ['the pair connects again only now and then', '+', '-', '++-', 'it did not connect again after isolation'],
    ['nothing was tried meanwhile', '+', '', '+', 'only 0 attempts were made during isolation'],
    ['the pod itself failed', '+', '-----------f', '+', 'attempts failed in the pod itself'],
    ['the pod itself failed all the time', '+', 'f', '+', 'attempts failed in the pod itself'],
  ])('is not proved if %s', (_, before, during, after, reason) => {
    expect(judge(before, during, after)).toEqual({ outcome: 'not proved', reason });
  });

  it.each([
    ['before isolation', '++++++++++++----++++', '+', '+'],
    ['in isolation', '+', '++++----++++', '+'],
    ['after isolation', '+', '+', '++----++++'],
    ['as from a server that died and did not come back', '+', '++++++r', 'r'],
  ])('is not proved if the control pair was closed %s', (_, before, during, after) => {
    const witness = { name: 'the control pair', attempts: observed(before, during, after) };
    expect(judge('+', '-', '+', witness)).toEqual({
      outcome: 'not proved',
      reason: 'the control pair was not open throughout',
      passing: true,
    });
  });

  it('is not proved if the control pair did not report for a while, but is if it lost only a few packets', () => {
    const silent = observed('+', '+', '+').filter(({ start }) => start < 2500 || start > 9600);
    expect(judgeDenied(observed('+', '-', '+'), TIMES, [{ name: 'it', attempts: silent }])).toMatchObject({
      outcome: 'not proved',
    });
    expect(judge('+', '-', '+', { name: 'it', attempts: observed('+', '++---+++++', '+') })).toMatchObject({
      outcome: 'denied',
    });
  });

  it('is in force no earlier than the API server confirmed its policy', () => {
    const early = [...series(0, '+'.repeat(20)), ...series(2010, '-'.repeat(79)), ...series(10_060, '+'.repeat(10))];
    expect(judgeDenied(early, TIMES, [open])).toMatchObject({ outcome: 'denied', inForceAfter: 60 });
  });
});

describe('an allowance', () => {
  const judge = (during: string, witness = open, after = '+') =>
    judgeAllowed(observed('+', during, after), TIMES, [witness]);
  const alternating = '+-'.repeat(40);

  it('holds if connections go on', () => {
    expect(judge('+')).toEqual({ outcome: 'allowed', attempts: 40, answers: 40, longestGap: 0 });
  });

  it('holds after a gap while the policies take effect, and the gap is reported', () => {
    expect(judge('++------+')).toMatchObject({ outcome: 'allowed', attempts: 40, answers: 34, longestGap: 600 });
    expect(judge('++-+')).toMatchObject({ outcome: 'allowed', answers: 39, longestGap: 0 });
  });

  it('is refused if nothing connects during isolation', () => {
    expect(judge('-')).toEqual({ outcome: 'refused', attempts: 30, answers: 0 });
    expect(judge('r')).toEqual({ outcome: 'refused', attempts: 30, answers: 0 });
  });

  it.each([
    ['half', alternating, 15],
    ['a third', '++-'.repeat(27), 20],
    ['all after a while', `${'+'.repeat(20)}-`, 10],
  ])('is refused if %s of the connections are dropped silently', (_, during, answers) => {
    expect(judge(during)).toEqual({ outcome: 'refused', attempts: 30, answers });
  });

  it('holds if a few packets are lost, as on any network', () => {
    expect(judge(`${'+'.repeat(15)}-++-+++-+`)).toMatchObject({ outcome: 'allowed', attempts: 40, answers: 37 });
  });

  it('is judged only by attempts whose full time passed before the policies were deleted', () => {
    expect(judge(`${'+'.repeat(40)}-`)).toMatchObject({ outcome: 'allowed', attempts: 40, answers: 40 });
  });

  it.each([
    ['it does not connect again either', '-', open, '-', 'it did not connect again after isolation'],
    ['the pod itself failed', 'f', open, '+', 'attempts failed in the pod itself'],
    ['nothing was tried', '', open, '+', 'only 0 attempts were made while the policies were in force'],
  ])('is not proved to be refused if %s', (_, during, witness, after, reason) => {
    expect(judge(during, witness, after)).toEqual({ outcome: 'not proved', reason });
  });

  it.each([
    ['does not connect either', '-', '-', 'was not open throughout'],
    ['loses as much', alternating, alternating, 'lost packets too'],
  ])('is not proved if the control pair %s', (_, during, control, words) => {
    expect(judge(during, { name: 'the control pair', attempts: observed('+', control, '+') })).toEqual({
      outcome: 'not proved',
      reason: `the control pair ${words}`,
      passing: true,
    });
  });

  it('is not proved if the pair did not connect before', () => {
    expect(judgeAllowed(observed('-', '+', '+'), TIMES, [open])).toMatchObject({ outcome: 'not proved' });
  });
});

describe('an open connection', () => {
  it.each([
    ['goes on', '+', { outcome: 'goes on' }],
    ['is cut by silence', '++-', { outcome: 'cut', after: 210 }],
    ['is cut by its end', '+++c', { outcome: 'cut', after: 310 }],
    ['goes on after lost packets', '++--++--+', { outcome: 'goes on' }],
  ])('%s', (_, during, outcome) => {
    const attempts = observed('+', during, '+');
    // The pod sends nothing on a connection that has ended.
    const end = attempts.findIndex(({ result }) => result === 'closed');
    expect(judgeHeld(end < 0 ? attempts : attempts.slice(0, end + 1), TIMES)).toEqual(outcome);
  });

  it('that was not open before isolation is not known', () => {
    expect(judgeHeld(observed('-', '-', '+'), TIMES)).toEqual({ outcome: 'not known' });
  });
});

describe('a new pod', () => {
  const judge = (during: string, after = '+', witness = open) =>
    judgeNewPod([...series(2100, during), ...series(10_060, after.repeat(10))], 2000, TIMES, [witness]);

  it('leaks the connections that it opens before its policy holds', () => {
    expect(judge('-+++-+-----------')).toEqual({ outcome: 'holds', connections: 4, firstAfter: 100, after: 600 });
  });

  it('leaks nothing if the policy holds from the first attempt on', () => {
    expect(judge('-----------')).toEqual({ outcome: 'holds', connections: 0, firstAfter: 100, after: 0 });
  });

  it('came through if its policy never holds', () => {
    expect(judge('++++++++++++++')).toEqual({ outcome: 'came through', connections: 14 });
  });

  it('came through if its policy held and then let a connection out', () => {
    expect(judge('+----------+----------')).toEqual({ outcome: 'came through', connections: 2, after: 100 });
  });

  it('counts silence on the network as denial, not failures in the pod', () => {
    expect(judge('ffffffffffff-----------')).toMatchObject({ outcome: 'holds', connections: 0, after: 1200 });
  });

  it.each([
    ['it does not connect when the policy is gone', '-----------', '-', 'it did not connect again after isolation'],
    ['the pod itself failed', '-----------f', '+', 'attempts failed in the pod itself'],
    ['the pod itself failed all the time', 'ffffffffffff', '+', 'attempts failed in the pod itself'],
    ['it tried too seldom', '---', '+', 'only 3 attempts were made during isolation'],
  ])('proves nothing if %s', (_, during, after, reason) => {
    expect(judge(during, after)).toEqual({ outcome: 'not proved', reason });
  });

  it('proves nothing if the control pair does not connect', () => {
    expect(judge('-----------', '+', { name: 'it', attempts: observed('+', '-', '+') })).toMatchObject({
      outcome: 'not proved',
    });
  });
});

describe('while the canary waits', () => {
  it('a pair is connected after three answers in a row, and denied after the given number of silent attempts', () => {
    const attempts = series(0, '++-+++');
    expect(isConnected(attempts, 0)).toBe(true);
    expect(isConnected(attempts, 350)).toBe(false);
    expect(isConnected(series(0, '+++-'), 0)).toBe(false);
    expect(isDenied(series(0, '+----'), 0, 4)).toBe(true);
    expect(isDenied(series(0, '+----'), 0, 5)).toBe(false);
    expect(isDenied(series(0, '+----'), 250, 4)).toBe(false);
  });
});

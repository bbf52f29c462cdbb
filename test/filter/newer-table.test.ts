/**
 * Flows that an older table judged, closed flows and revoked flows, and what a SYN does to them.
 */
import { describe, expect, test } from 'vitest';
import * as states from '../../src/conntrack/states.ts';
import * as b from '../packet/build.ts';
import { DB, from, policy, rule, Scene, WEB } from './scene.ts';
import { back, dbFromNobody, dbFromWeb, dbSilent, there, udpBack, udpThere } from './traffic.ts';

describe('a newer table', () => {
  test('that still allows a flow keeps it, in both directions', () => {
    const scene = new Scene([dbFromWeb, dbSilent]);
    scene.judgeAll(there('S'), back('SA'), udpThere);
    scene.setPolicies([dbFromWeb, dbSilent]);
    expect(scene.judgeAll(back('SA'), udpBack)).toEqual(['established', 'established']);
  });

  test('that denies a flow revokes it for both sides', () => {
    for (const [first, next] of [
      [there('A'), back('A')],
      [back('A'), there('A')],
    ] as const) {
      const scene = new Scene([dbFromWeb]);
      scene.judgeAll(there('S'), back('SA'), there('A'));
      scene.setPolicies([dbFromNobody]);
      expect(scene.judgeAll(first, next, first)).toEqual(['revoked', 'revoked', 'revoked']);
      expect(scene.direction).toBe('ingress');
    }
  });

  test('that denies a UDP flow keeps the other side from opening it again', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judgeAll(udpThere, udpBack);
    scene.setPolicies([dbFromNobody]);
    expect(scene.judge(udpThere)).toBe('revoked');
    expect(scene.judge(udpBack)).toBe('revoked');
    expect(scene.judge(b.ip(DB, WEB, b.udp(54, 40000)))).toBe('not-isolated');
  });

  test('that allows a revoked flow again restores it', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judgeAll(udpThere, udpBack);
    scene.setPolicies([dbFromNobody]);
    scene.judge(udpThere);
    scene.setPolicies([dbFromWeb]);
    expect(scene.judgeAll(udpBack, udpThere)).toEqual(['established', 'established']);
  });

  test('does not revoke a flow because it denies new flows in the reply direction', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judgeAll(udpThere);
    scene.setPolicies([dbFromWeb, dbSilent]);
    expect(scene.judge(udpBack)).toBe('established');
  });

  test('keeps a revoked flow denied as long as packets come, and forgets it afterwards', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judge(udpThere);
    scene.setPolicies([dbFromNobody]);
    for (let i = 0; i < 10; i++) {
      scene.now += 20_000;
      expect(scene.judge(udpThere)).toBe('revoked');
    }
    scene.now += 40_000;
    expect(scene.judge(udpThere)).toBe('ingress-denied');
    expect(scene.flows).toBe(0);
  });
});

describe('a SYN', () => {
  const closed = (scene: Scene) => scene.judgeAll(there('S'), back('SA'), there('A'), there('R'));

  test('of the opener is a retransmission on a live flow', () => {
    const scene = new Scene([dbFromWeb]);
    expect(scene.judgeAll(there('S'), there('S'), back('SA'), there('A'), there('S'))).toEqual([
      'allowed-by-policy',
      'established',
      'established',
      'established',
      'established',
    ]);
    expect(scene.filter.flows.lists.sizes[states.TCP_ESTABLISHED]).toBe(1);
  });

  test('opens a new flow if the old one was closed', () => {
    const scene = new Scene([dbFromWeb]);
    closed(scene);
    expect(scene.judge(there('S'))).toBe('allowed-by-policy');
    expect(scene.filter.flows.lists.sizes[states.TCP_SYN_SENT]).toBe(1);
    expect(scene.flows).toBe(1);
  });

  test('of the other side opens its own flow if the old one was closed and the policies allow it', () => {
    const scene = new Scene([dbFromWeb]);
    closed(scene);
    expect(scene.judge(back('S'))).toBe('not-isolated');
    scene.setPolicies([policy('db', { ingress: [rule([from('web')])], egress: [] })]);
    expect(scene.judge(there('SA'))).toBe('revoked');
  });

  test('of the other side is not a reply, in any state of the flow', () => {
    const history = [there('S'), back('SA'), there('A'), there('FA'), back('FA'), there('A'), there('R')];
    for (let length = 1; length <= history.length; length++) {
      const scene = new Scene([dbFromWeb, dbSilent]);
      scene.judgeAll(...history.slice(0, length));
      expect(scene.judge(back('S'))).toBe('egress-denied');
      expect(scene.direction).toBe('egress');
      expect(scene.judge(back('A'))).toBe('established');
    }
  });

  test('of the other side that the policies allow does not disturb a live flow', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judgeAll(there('S'), back('SA'), there('A'));
    expect(scene.judge(back('S'))).toBe('not-isolated');
    expect(scene.judge(there('A'))).toBe('established');
    expect(scene.filter.flows.lists.sizes[states.TCP_ESTABLISHED]).toBe(1);
  });

  test('on a revoked flow is judged like any other', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judgeAll(there('S'), back('SA'), there('A'));
    scene.setPolicies([dbFromNobody]);
    expect(scene.judgeAll(there('A'), there('S'), there('A'))).toEqual(['revoked', 'ingress-denied', 'revoked']);
    expect(scene.judgeAll(back('S'), there('SA'))).toEqual(['not-isolated', 'established']);
  });

  test('an INIT does the same for SCTP', () => {
    const scene = new Scene([dbFromWeb, dbSilent]);
    const [init, data] = [b.ip(WEB, DB, b.sctp(5, 36412, 1)), b.ip(WEB, DB, b.sctp(5, 36412, 0))];
    scene.judge(init);
    expect(scene.judge(b.ip(DB, WEB, b.sctp(36412, 5, 1)))).toBe('egress-denied');
    scene.setPolicies([dbFromNobody]);
    expect(scene.judgeAll(data, init)).toEqual(['revoked', 'ingress-denied']);
    scene.setPolicies([dbFromWeb]);
    expect(scene.judgeAll(init, data)).toEqual(['allowed-by-policy', 'established']);
  });
});

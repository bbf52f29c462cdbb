import { describe, expect, test } from 'vitest';
import * as states from '../../src/conntrack/states.ts';
import * as b from '../packet/build.ts';
import { DB, from, policy, port, rule, Scene, WEB } from './scene.ts';
import { back, dbFromWeb, dbSilent, there, udpBack, udpThere } from './traffic.ts';

describe('adoption', () => {
  const adopting = (...policies: Parameters<typeof policy>[]) => {
    const scene = new Scene(policies.map(([app, rules]) => policy(app, rules)));
    scene.filter.adoption.adoptMidStream(scene.now + 1000);
    return scene;
  };
  const fromWeb = { ingress: [rule([from('web')], [port(5432)])] };

  test('passes a mid-stream packet in the allowed direction, and its flow is known', () => {
    const scene = adopting(['db', fromWeb]);
    expect(scene.judgeAll(there('A'), back('A'), there('FA'))).toEqual(['adopted', 'established', 'established']);
  });

  test('passes a mid-stream packet if the opposite direction is allowed, and that side is the opener', () => {
    const scene = adopting(['db', { ...fromWeb, egress: [] }]);
    expect(scene.judgeAll(back('PA'), there('A'))).toEqual(['adopted', 'established']);
    scene.setPolicies([policy('db', { ...fromWeb, egress: [] })]);
    expect(scene.judge(back('A'))).toBe('established');
  });

  test('does not take the side that answers a SYN for the opener, even if it could be', () => {
    const scene = adopting(['db', { egress: [rule()], ingress: [] }]);
    expect(scene.judge(back('SA'))).toBe('mid-stream');
    const other = adopting(['db', fromWeb]);
    expect(other.judgeAll(back('SA'), there('A'))).toEqual(['adopted', 'established']);
    expect(other.filter.flows.lists.sizes[states.TCP_ESTABLISHED]).toBe(1);
  });

  test('of newly isolated pods leaves out pods that were isolated before: their connections would be known', () => {
    const scene = new Scene([policy('db', fromWeb)]);
    const both = { ...fromWeb, egress: [rule()] };
    scene.setPolicies([policy('db', both)]);
    scene.filter.adoption.adoptWhileGrowing('newly-steered', scene.now + 1000);
    expect(scene.judge(there('A'))).toBe('mid-stream');
    const fresh = new Scene();
    fresh.setPolicies([policy('db', fromWeb)]);
    fresh.filter.adoption.adoptWhileGrowing('newly-steered', fresh.now + 1000);
    expect(fresh.judge(there('A'))).toBe('adopted');
  });

  test('works for SCTP, but not for an echo reply', () => {
    const scene = adopting(['db', { ingress: [rule([from('web')])] }]);
    expect(scene.judge(b.ip(WEB, DB, b.sctp(5, 6, 3)))).toBe('adopted');
    expect(scene.judge(b.ip(WEB, DB, b.echoReply(6)))).toBe('mid-stream');
  });

  test('of no replies denies what looks like the reply to a denied datagram, and tracks no flow of it', () => {
    const scene = new Scene([policy('db', { ingress: [rule([from('web')], [port(53, 'UDP')])] })]);
    const toStranger = b.ip(DB, '192.0.2.1', b.udp(53, 40_000));
    const toWeb = b.ip(DB, WEB, b.udp(53, 40_000));
    const asClient = b.ip(DB, '192.0.2.2', b.udp(40_000, 53));
    scene.filter.adoption.adoptWhileGrowing('no-replies', scene.now + 1000);
    expect(scene.judgeAll(toStranger, toStranger)).toEqual(['ingress-denied', 'ingress-denied']);
    expect(scene.judgeAll(toWeb, asClient)).toEqual(['not-isolated', 'not-isolated']);
    scene.filter.adoption.adoptWhileGrowing('nothing', scene.now);
    expect(scene.judge(toStranger)).toBe('not-isolated');
  });

  test('includes datagrams and echo replies only while pods become isolated, and only for those pods', () => {
    const answer = b.ip(DB, WEB, b.echoReply(6));
    const request = b.ip(WEB, DB, b.echoRequest(6));
    const silent = { ingress: [rule([from('web')])], egress: [] };
    for (const [packet, opening, otherwise] of [
      [udpBack, udpThere, 'egress-denied'],
      [answer, request, 'mid-stream'],
    ] as const) {
      expect(adopting(['db', silent]).judge(packet)).toBe(otherwise);
      const fresh = new Scene();
      fresh.setPolicies([policy('db', silent)]);
      fresh.filter.adoption.adoptWhileGrowing('newly-steered', fresh.now + 1000);
      expect(fresh.judgeAll(packet, opening, packet)).toEqual(['adopted', 'established', 'established']);
      const known = new Scene([dbSilent]);
      known.setPolicies([policy('db', silent)]);
      known.filter.adoption.adoptWhileGrowing('newly-steered', known.now + 1000);
      expect(known.judge(packet)).toBe(otherwise);
      known.filter.adoption.adoptWhileGrowing('all', known.now + 1000);
      expect(known.judge(packet)).toBe('adopted');
    }
  });

  test('of a datagram requires that the other side may open its flow', () => {
    const fresh = new Scene();
    fresh.setPolicies([policy('db', { ingress: [], egress: [] })]);
    fresh.filter.adoption.adoptWhileGrowing('newly-steered', fresh.now + 1000);
    expect(fresh.judge(udpBack)).toBe('egress-denied');
  });

  test('while the isolated set grows ends at once, whatever the clock of the batch says', () => {
    const scene = new Scene([dbFromWeb]);
    scene.filter.adoption.adoptWhileGrowing('all', scene.now + 1000);
    scene.filter.adoption.adoptWhileGrowing('nothing', scene.now + 1);
    expect(scene.judge(there('A'))).toBe('mid-stream');
  });

  test('does not pass what neither direction allows', () => {
    expect(adopting(['db', { ingress: [], egress: [] }]).judge(there('A'))).toBe('mid-stream');
  });

  test('ends, even if the clock has wrapped', () => {
    const scene = adopting(['db', fromWeb]);
    scene.now += 1000;
    expect(scene.judge(there('A'))).toBe('mid-stream');
    scene.now = (scene.now + 2 ** 31) | 0;
    expect(scene.judge(there('A'))).toBe('mid-stream');
  });

  test('is off by default', () => {
    const scene = new Scene([dbFromWeb]);
    scene.now = -5;
    expect(scene.judge(there('A'))).toBe('mid-stream');
  });
});

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

  test('a mid-stream packet passes in the direction that is allowed, and its flow is known', () => {
    const scene = adopting(['db', fromWeb]);
    expect(scene.judgeAll(there('A'), back('A'), there('FA'))).toEqual(['adopted', 'established', 'established']);
  });

  test('a mid-stream packet passes where the opposite direction is allowed, and that side is the opener', () => {
    const scene = adopting(['db', { ...fromWeb, egress: [] }]);
    expect(scene.judgeAll(back('PA'), there('A'))).toEqual(['adopted', 'established']);
    scene.setPolicies([policy('db', { ...fromWeb, egress: [] })]);
    expect(scene.judge(back('A'))).toBe('established');
  });

  test('who answers a SYN is not the opener, even where he could be', () => {
    const scene = adopting(['db', { egress: [rule()], ingress: [] }]);
    expect(scene.judge(back('SA'))).toBe('mid-stream');
    const other = adopting(['db', fromWeb]);
    expect(other.judgeAll(back('SA'), there('A'))).toEqual(['adopted', 'established']);
    expect(other.filter.flows.lists.sizes[states.TCP_ESTABLISHED]).toBe(1);
  });

  test('of newly isolated pods only leaves out those that were isolated before, whose connections would be known', () => {
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

  test('works for SCTP, and not for an echo reply', () => {
    const scene = adopting(['db', { ingress: [rule([from('web')])] }]);
    expect(scene.judge(b.ip(WEB, DB, b.sctp(5, 6, 3)))).toBe('adopted');
    expect(scene.judge(b.ip(WEB, DB, b.echoReply(6)))).toBe('mid-stream');
  });

  test('of datagrams and echo replies is for the moment in which pods become isolated, and nobody else', () => {
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

  test('of a datagram needs that the other side may open its flow', () => {
    const fresh = new Scene();
    fresh.setPolicies([policy('db', { ingress: [], egress: [] })]);
    fresh.filter.adoption.adoptWhileGrowing('newly-steered', fresh.now + 1000);
    expect(fresh.judge(udpBack)).toBe('egress-denied');
  });

  test('while a set grows ends at once, whatever the clock of the batch says', () => {
    const scene = new Scene([dbFromWeb]);
    scene.filter.adoption.adoptWhileGrowing('all', scene.now + 1000);
    scene.filter.adoption.adoptWhileGrowing('nothing', scene.now + 1);
    expect(scene.judge(there('A'))).toBe('mid-stream');
  });

  test('does not pass what neither direction allows', () => {
    expect(adopting(['db', { ingress: [], egress: [] }]).judge(there('A'))).toBe('mid-stream');
  });

  test('ends, also when the clock has wrapped', () => {
    const scene = adopting(['db', fromWeb]);
    scene.now += 1000;
    expect(scene.judge(there('A'))).toBe('mid-stream');
    scene.now = (scene.now + 2 ** 31) | 0;
    expect(scene.judge(there('A'))).toBe('mid-stream');
  });

  test('is off unless asked for', () => {
    const scene = new Scene([dbFromWeb]);
    scene.now = -5;
    expect(scene.judge(there('A'))).toBe('mid-stream');
  });
});

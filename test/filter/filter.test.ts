import { describe, expect, test } from 'vitest';
import * as states from '../../src/conntrack/states.ts';
import * as b from '../packet/build.ts';
import { DB, DB6, FAR, from, IDLE, NODE, OUTSIDE, OUTSIDE6, policy, port, rule, Scene, WEB, WEB6 } from './scene.ts';
import { back, dbFromNobody, dbFromWeb, dbSilent, dbWithWeb, there, udpBack, udpThere } from './traffic.ts';

describe('an allowed flow', () => {
  test.each<[string, Uint8Array, Uint8Array]>([
    ['TCP', there('S'), back('SA')],
    ['TCP in IPv6', b.ip(WEB6, DB6, b.tcp(40000, 5432, 'S')), b.ip(DB6, WEB6, b.tcp(5432, 40000, 'SA'))],
    ['UDP', udpThere, udpBack],
    ['UDP in IPv6', b.ip(WEB6, DB6, b.udp(40000, 53)), b.ip(DB6, WEB6, b.udp(53, 40000))],
    ['SCTP', b.ip(WEB, DB, b.sctp(5, 36412, 1)), b.ip(DB, WEB, b.sctp(36412, 5, 2))],
  ])('lets its replies pass without a rule: %s', (_, first, reply) => {
    const scene = new Scene([dbFromWeb, dbSilent]);
    expect(scene.judgeAll(first, reply, first, reply)).toEqual([
      'allowed-by-policy',
      'established',
      'established',
      'established',
    ]);
    expect(scene.flows).toBe(1);
  });

  test('of ICMP echo lets the reply pass', () => {
    const scene = new Scene([dbWithWeb, dbSilent]);
    const ask = (id: number) => b.ip(WEB, DB, b.echoRequest(id));
    expect(scene.judgeAll(ask(5), b.ip(DB, WEB, b.echoReply(5)))).toEqual(['allowed-by-policy', 'established']);
    expect(scene.judge(b.ip(DB, WEB, b.echoReply(6)))).toBe('mid-stream');
  });

  test('of ICMP echo does not let a request of the other side pass', () => {
    const scene = new Scene([dbWithWeb, dbSilent]);
    scene.judge(b.ip(WEB, DB, b.echoRequest(5)));
    expect(scene.judge(b.ip(DB, WEB, b.echoRequest(5)))).toBe('egress-denied');
  });

  test('of a protocol without ports lets the replies pass', () => {
    const scene = new Scene([dbWithWeb, dbSilent]);
    expect(scene.judgeAll(b.ip(WEB, DB, b.raw(47)), b.ip(DB, WEB, b.raw(47)))).toEqual([
      'allowed-by-policy',
      'established',
    ]);
  });

  test('leaves a pod that is isolated for ingress only, and its replies come in', () => {
    const scene = new Scene([dbFromNobody]);
    const out = b.ip(DB, OUTSIDE, b.tcp(40000, 443, 'S'));
    const reply = b.ip(OUTSIDE, DB, b.tcp(443, 40000, 'SA'));
    expect(scene.judgeAll(out, reply)).toEqual(['not-isolated', 'established']);
  });

  test('is tracked through its states', () => {
    const scene = new Scene([dbFromWeb]);
    const state = () => states.STATES.filter((_, i) => (scene.filter.flows.lists.sizes[i] as number) > 0);
    const reached = (packet: Uint8Array) => [scene.judge(packet), ...state()];
    expect(reached(there('S'))).toEqual(['allowed-by-policy', 'tcp-syn-sent']);
    expect(reached(back('SA'))).toEqual(['established', 'tcp-syn-received']);
    expect(reached(there('A'))).toEqual(['established', 'tcp-established']);
    expect(reached(there('FA'))).toEqual(['established', 'tcp-half-closed-by-opener']);
    expect(reached(back('FA'))).toEqual(['established', 'tcp-closing']);
    expect(reached(there('A'))).toEqual(['established', 'tcp-time-wait']);
  });

  test('is forgotten after its idle timeout: the next packet opens it again', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judge(udpThere);
    scene.now += 40_000;
    expect(scene.judge(udpThere)).toBe('allowed-by-policy');
    scene.judge(there('S'));
    scene.now += 200_000;
    expect(scene.judge(back('SA'))).toBe('mid-stream');
  });
});

describe('leaves no flow:', () => {
  test.each<[string, Uint8Array]>([
    ['a denied packet', b.ip(FAR, DB, b.tcp(1, 5432, 'S'))],
    ['a packet between pods that no policy isolates', b.ip(WEB, IDLE, b.tcp(1, 5432, 'S'))],
    ['a pod to itself', b.ip(DB, DB, b.tcp(1, 5432, 'S'))],
    ['the node and its pod', b.ip(NODE, DB, b.tcp(1, 5432, 'S'))],
    ['a mid-stream packet', there('A')],
    ['a later fragment', b.ip(WEB, DB, b.udp(1, 53), { offset: 800 })],
    ['a malformed packet', there('S').with(0, 0x44)],
    ['an ICMP message without identifier', b.ip(WEB, DB, b.icmp(5))],
  ])('%s', (_, packet) => {
    const scene = new Scene([dbFromWeb]);
    scene.judge(packet);
    expect(scene.flows).toBe(0);
  });
});

describe('without a flow', () => {
  test.each<[string, Uint8Array]>([
    ['TCP data', there('PA')],
    ['a SYN with ACK', there('SA')],
    ['a FIN', there('FA')],
    ['a RST', there('R')],
    ['TCP data of the other side', back('A')],
    ['an SCTP chunk that is no INIT', b.ip(WEB, DB, b.sctp(5, 36412, 0))],
    ['an SCTP cookie', b.ip(WEB, DB, b.sctp(5, 36412, 10))],
    ['TCP data that the policies deny', b.ip(FAR, DB, b.tcp(1, 5432, 'A'))],
    ['TCP data in IPv6', b.ip(WEB6, DB6, b.tcp(40000, 5432, 'A'))],
  ])('mid-stream packets of an isolated pod are denied: %s', (_, packet) => {
    expect(new Scene([dbFromWeb]).judge(packet)).toBe('mid-stream');
  });

  test('an echo reply is denied even if all ICMP is allowed', () => {
    expect(new Scene([dbWithWeb]).judge(b.ip(WEB, DB, b.echoReply(1)))).toBe('mid-stream');
  });

  test('mid-stream packets of pods that are not isolated pass', () => {
    const scene = new Scene([dbFromWeb]);
    expect(scene.judge(b.ip(WEB, IDLE, b.tcp(1, 2, 'A')))).toBe('not-isolated');
    expect(scene.judge(b.ip(DB, DB, b.tcp(1, 2, 'A')))).toBe('same-pod');
    expect(scene.judge(b.ip(NODE, DB, b.tcp(1, 2, 'A')))).toBe('mid-stream');
  });
});

describe('direction', () => {
  test.each<[string, Uint8Array, 'egress' | 'ingress']>([
    ['of what leaves a pod of this node', b.ip(WEB, OUTSIDE, b.udp(1, 2)), 'egress'],
    ['of what comes from elsewhere', b.ip(OUTSIDE, WEB, b.udp(1, 2)), 'ingress'],
    ['between two pods of this node', b.ip(WEB, IDLE, b.udp(1, 2)), 'egress'],
    ['of what egress denies', b.ip(DB, OUTSIDE, b.udp(1, 2)), 'egress'],
    ['of what ingress denies', b.ip(WEB, DB, b.udp(1, 2)), 'ingress'],
    ['of a fragment that ingress denies', b.ip(WEB, DB, b.udp(1, 2), { offset: 80 }), 'ingress'],
    ['of what egress denies in IPv6', b.ip(DB6, OUTSIDE6, b.udp(1, 2)), 'egress'],
    ['of what is malformed', b.ip(WEB, DB, b.udp(1, 2), { ihl: 4 }), 'ingress'],
  ])('%s', (_, packet, direction) => {
    const scene = new Scene([policy('db', { ingress: [rule([from('far')], [port(7)])], egress: [] })]);
    scene.judge(packet);
    expect(scene.direction).toBe(direction);
  });

  test('of a known flow follows the packet', () => {
    const scene = new Scene([policy('web', { egress: [rule()], ingress: [] })]);
    scene.judge(b.ip(WEB, OUTSIDE, b.udp(1, 2)));
    expect([scene.judge(b.ip(OUTSIDE, WEB, b.udp(2, 1))), scene.direction]).toEqual(['established', 'ingress']);
    expect([scene.judge(b.ip(WEB, OUTSIDE, b.udp(1, 2))), scene.direction]).toEqual(['established', 'egress']);
  });
});

test('port 65535 is a port', () => {
  const scene = new Scene([policy('db', { ingress: [rule([from('web')], [port(65535)])] })]);
  scene.judge(b.ip(WEB, DB, b.tcp(65535, 65535, 'S')));
  scene.setPolicies([policy('db', { ingress: [rule([from('web')], [port(65535)])] })]);
  expect(scene.judge(b.ip(DB, WEB, b.tcp(65535, 65535, 'SA')))).toBe('established');
});

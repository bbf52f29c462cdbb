import { describe, expect, test } from 'vitest';
import * as b from '../packet/build.ts';
import { DB, DB6, from, policy, rule, Scene, WEB, WEB6 } from './scene.ts';
import { back, dbFromNobody, dbFromWeb, dbSilent, there, udpBack, udpThere } from './traffic.ts';

describe('an ICMP error', () => {
  const router = '192.0.2.1';
  test.each<[string, Uint8Array, (quoted: Uint8Array) => Uint8Array]>([
    ['from a router to the opener', there('S'), (quoted) => b.ip(router, WEB, b.tooBig(quoted, 28))],
    ['from the other side', udpThere, (quoted) => b.ip(DB, WEB, b.unreachable(quoted))],
    ['about a ping', b.ip(WEB, DB, b.echoRequest(3)), (quoted) => b.ip(router, WEB, b.icmpError(11, 0, quoted))],
    ['in IPv6', b.ip(WEB6, DB6, b.tcp(40000, 5432, 'S')), (quoted) => b.ip('2001:db8::1', WEB6, b.tooBig(quoted))],
  ])('about a packet of a flow passes: %s', (_, first, error) => {
    const open = [
      policy('db', { ingress: [rule([from('web')])], egress: [] }),
      policy('web', { ingress: [], egress: [rule()] }),
    ];
    const scene = new Scene(open);
    expect(scene.judgeAll(first, error(first))).toEqual(['allowed-by-policy', 'related']);
    expect(scene.flows).toBe(1);
    expect(new Scene(open).judge(error(first))).toMatch(/^(in|e)gress-denied$/);
  });

  test('about a reply passes to the other side', () => {
    const scene = new Scene([dbFromWeb, dbSilent]);
    scene.judge(there('S'));
    expect(scene.judge(b.ip(router, DB, b.tooBig(back('SA'))))).toBe('related');
  });

  test('to another host than the sender of the quoted packet is judged like any packet', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judge(there('S'));
    expect(scene.judge(b.ip(router, DB, b.tooBig(there('S'))))).toBe('ingress-denied');
  });

  test('about a flow that the policies now deny is denied', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judge(there('S'));
    scene.setPolicies([dbFromNobody]);
    expect(scene.judge(b.ip(router, WEB, b.tooBig(there('S'))))).toBe('revoked');
    expect(scene.direction).toBe('ingress');
  });

  test('does not keep its flow alive', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judge(udpThere);
    scene.now += 25_000;
    scene.judge(b.ip(router, WEB, b.tooBig(udpThere)));
    scene.now += 10_000;
    expect(scene.judge(udpBack)).toBe('not-isolated');
  });
});

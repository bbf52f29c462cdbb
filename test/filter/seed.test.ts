import { describe, expect, test } from 'vitest';
import * as states from '../../src/conntrack/states.ts';
import { Packet } from '../../src/packet/packet.ts';
import * as b from '../packet/build.ts';
import { DB, DB6, policy, rule, Scene, WEB, WEB6 } from './scene.ts';
import { back, dbFromNobody, dbFromWeb, dbSilent, there, udpBack, udpThere } from './traffic.ts';

describe('a flow seeded from the kernel', () => {
  const flow = (fields: Partial<Packet>): Packet => Object.assign(new Packet(), fields);
  const tcp = { family: 4, protocol: 6, src0: b.word(WEB), dst0: b.word(DB), srcPort: 40000, dstPort: 5432 };

  test('is established both ways', () => {
    const scene = new Scene([dbFromWeb, dbSilent]);
    scene.filter.seed(flow(tcp), 'established', scene.now);
    expect(scene.judgeAll(back('A'), there('A'))).toEqual(['established', 'established']);
    expect(scene.filter.flows.lists.sizes[states.TCP_ESTABLISHED]).toBe(1);
  });

  test('or revoked both ways, until the policies allow it', () => {
    const scene = new Scene([dbFromNobody]);
    scene.filter.seed(flow(tcp), 'revoked', scene.now);
    expect(scene.judgeAll(back('A'), there('A'))).toEqual(['revoked', 'revoked']);
    expect(scene.direction).toBe('ingress');
    scene.setPolicies([dbFromWeb]);
    expect(scene.judge(back('A'))).toBe('established');
  });

  test('is revoked if the policies deny it now, whoever judged it before', () => {
    const scene = new Scene([dbFromNobody]);
    scene.filter.seed(flow(tcp), 'established', scene.now);
    expect(scene.judgeAll(there('A'), back('A'))).toEqual(['revoked', 'revoked']);
  });

  test('replaces what was known about it', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judge(udpThere);
    scene.setPolicies([dbFromNobody]);
    scene.filter.seed(flow({ ...tcp, protocol: 17, dstPort: 53 }), 'revoked', scene.now);
    scene.now += 60_000;
    expect(scene.judge(udpBack)).toBe('revoked');
    expect(scene.flows).toBe(1);
  });

  test('of ICMP is an echo, unless its type says otherwise', () => {
    const scene = new Scene([policy('db', { ingress: [rule()], egress: [] })]);
    const icmp = { ...tcp, protocol: 1, srcPort: 9, dstPort: 9 };
    scene.filter.seed(flow(icmp), 'established', scene.now);
    scene.filter.seed(flow({ ...icmp, icmpType: 13 }), 'established', scene.now);
    expect(scene.judge(b.ip(DB, WEB, b.echoReply(9)))).toBe('established');
    expect(scene.judge(b.ip(DB, WEB, b.icmp(14, 0, 9)))).toBe('established');
    expect(scene.judge(b.ip(DB, WEB, b.icmp(18, 0, 9)))).toBe('mid-stream');
  });

  test('of ICMP is left out if its type is neither a request nor a reply', () => {
    const scene = new Scene([dbFromWeb]);
    scene.filter.seed(flow({ ...tcp, protocol: 1, srcPort: 9, dstPort: 9, icmpType: 5 }), 'established', scene.now);
    expect(scene.flows).toBe(0);
  });

  test('works in IPv6', () => {
    const scene = new Scene([policy('db', { ingress: [rule()], egress: [] })]);
    const [src0, src1, src2, src3] = b.words(WEB6) as [number, number, number, number];
    const [dst0, dst1, dst2, dst3] = b.words(DB6) as [number, number, number, number];
    const words = { family: 6, src0, src1, src2, src3, dst0, dst1, dst2, dst3 };
    scene.filter.seed(flow({ ...words, protocol: 58, srcPort: 9, dstPort: 9 }), 'established', scene.now);
    expect(scene.judge(b.ip(DB6, WEB6, b.echoReply(9)))).toBe('established');
  });
});

import { describe, expect, test } from 'vitest';
import * as states from '../../src/conntrack/states.ts';
import { Packet } from '../../src/packet/packet.ts';
import * as b from '../packet/build.ts';
import { DB, DB6, FAR, from, IDLE, NODE, OUTSIDE, OUTSIDE6, policy, port, rule, Scene, WEB, WEB6 } from './scene.ts';

const dbFromWeb = policy('db', { ingress: [rule([from('web')], [port(5432), port(53, 'UDP'), port(36412, 'SCTP')])] });
const dbFromNobody = policy('db', { ingress: [] });
const dbSilent = policy('db', { egress: [] });
const dbWithWeb = policy('db', { ingress: [rule([from('web')])] });

const there = (flags: string, address = WEB) => b.ip(address, DB, b.tcp(40000, 5432, flags));
const back = (flags: string, address = WEB) => b.ip(DB, address, b.tcp(5432, 40000, flags));
const udpThere = b.ip(WEB, DB, b.udp(40000, 53));
const udpBack = b.ip(DB, WEB, b.udp(53, 40000));

describe('an allowed flow', () => {
  test.each<[string, Uint8Array, Uint8Array]>([
    ['TCP', there('S'), back('SA')],
    ['TCP in IPv6', b.ip(WEB6, DB6, b.tcp(40000, 5432, 'S')), b.ip(DB6, WEB6, b.tcp(5432, 40000, 'SA'))],
    ['UDP', udpThere, udpBack],
    ['UDP in IPv6', b.ip(WEB6, DB6, b.udp(40000, 53)), b.ip(DB6, WEB6, b.udp(53, 40000))],
    ['SCTP', b.ip(WEB, DB, b.sctp(5, 36412, 1)), b.ip(DB, WEB, b.sctp(36412, 5, 2))],
  ])('takes the replies along, which no rule allows: %s', (_, first, reply) => {
    const scene = new Scene([dbFromWeb, dbSilent]);
    expect(scene.judgeAll(first, reply, first, reply)).toEqual([
      'allowed-by-policy',
      'established',
      'established',
      'established',
    ]);
    expect(scene.flows).toBe(1);
  });

  test('of ICMP echo takes the reply along', () => {
    const scene = new Scene([dbWithWeb, dbSilent]);
    const ask = (id: number) => b.ip(WEB, DB, b.echoRequest(id));
    expect(scene.judgeAll(ask(5), b.ip(DB, WEB, b.echoReply(5)))).toEqual(['allowed-by-policy', 'established']);
    expect(scene.judge(b.ip(DB, WEB, b.echoReply(6)))).toBe('mid-stream');
  });

  test('of ICMP echo does not take a request of the other side along', () => {
    const scene = new Scene([dbWithWeb, dbSilent]);
    scene.judge(b.ip(WEB, DB, b.echoRequest(5)));
    expect(scene.judge(b.ip(DB, WEB, b.echoRequest(5)))).toBe('egress-denied');
  });

  test('of a protocol without ports takes the replies along', () => {
    const scene = new Scene([dbWithWeb, dbSilent]);
    expect(scene.judgeAll(b.ip(WEB, DB, b.raw(47)), b.ip(DB, WEB, b.raw(47)))).toEqual([
      'allowed-by-policy',
      'established',
    ]);
  });

  test('goes out of a pod that is isolated for ingress only, and its replies come in', () => {
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

  test('is gone once it was idle for its timeout: the next packet is judged anew', () => {
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

  test('an echo reply is denied even where every ICMP is allowed', () => {
    expect(new Scene([dbWithWeb]).judge(b.ip(WEB, DB, b.echoReply(1)))).toBe('mid-stream');
  });

  test('mid-stream packets of pods that are not isolated pass', () => {
    const scene = new Scene([dbFromWeb]);
    expect(scene.judge(b.ip(WEB, IDLE, b.tcp(1, 2, 'A')))).toBe('not-isolated');
    expect(scene.judge(b.ip(DB, DB, b.tcp(1, 2, 'A')))).toBe('same-pod');
    expect(scene.judge(b.ip(NODE, DB, b.tcp(1, 2, 'A')))).toBe('local-node');
  });
});

describe('adoption', () => {
  const adopting = (...policies: Parameters<typeof policy>[]) => {
    const scene = new Scene(policies.map(([app, rules]) => policy(app, rules)));
    scene.filter.adoptUntil = scene.now + 1000;
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

  test('works for SCTP, and not for an echo reply', () => {
    const scene = adopting(['db', { ingress: [rule([from('web')])] }]);
    expect(scene.judge(b.ip(WEB, DB, b.sctp(5, 6, 3)))).toBe('adopted');
    expect(scene.judge(b.ip(WEB, DB, b.echoReply(6)))).toBe('mid-stream');
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

describe('a newer table', () => {
  test('that still allows a flow leaves it alone, in both directions', () => {
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

  test('that denies a UDP flow keeps the other side from bringing it back', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judgeAll(udpThere, udpBack);
    scene.setPolicies([dbFromNobody]);
    expect(scene.judge(udpThere)).toBe('revoked');
    expect(scene.judge(udpBack)).toBe('revoked');
    expect(scene.judge(b.ip(DB, WEB, b.udp(54, 40000)))).toBe('not-isolated');
  });

  test('that allows a revoked flow again lets it live on', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judgeAll(udpThere, udpBack);
    scene.setPolicies([dbFromNobody]);
    scene.judge(udpThere);
    scene.setPolicies([dbFromWeb]);
    expect(scene.judgeAll(udpBack, udpThere)).toEqual(['established', 'established']);
  });

  test('that denies what a reply may not do does not matter to the flow', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judgeAll(udpThere);
    scene.setPolicies([dbFromWeb, dbSilent]);
    expect(scene.judge(udpBack)).toBe('established');
  });

  test('leaves a revoked flow denied for as long as packets come, and forgets it when they do not', () => {
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

  test('opens a new flow where the old one was closed', () => {
    const scene = new Scene([dbFromWeb]);
    closed(scene);
    expect(scene.judge(there('S'))).toBe('allowed-by-policy');
    expect(scene.filter.flows.lists.sizes[states.TCP_SYN_SENT]).toBe(1);
    expect(scene.flows).toBe(1);
  });

  test('of the other side opens a flow of its own where the old one was closed, if the policies let it', () => {
    const scene = new Scene([dbFromWeb]);
    closed(scene);
    expect(scene.judge(back('S'))).toBe('not-isolated');
    scene.setPolicies([policy('db', { ingress: [rule([from('web')])], egress: [] })]);
    expect(scene.judge(there('SA'))).toBe('revoked');
  });

  test('of the other side is not a reply, in whatever state the flow is', () => {
    const history = [there('S'), back('SA'), there('A'), there('FA'), back('FA'), there('A'), there('R')];
    for (let length = 1; length <= history.length; length++) {
      const scene = new Scene([dbFromWeb, dbSilent]);
      scene.judgeAll(...history.slice(0, length));
      expect(scene.judge(back('S'))).toBe('egress-denied');
      expect(scene.direction).toBe('egress');
      expect(scene.judge(back('A'))).toBe('established');
    }
  });

  test('of the other side that the policies allow leaves a live flow to its ends', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judgeAll(there('S'), back('SA'), there('A'));
    expect(scene.judge(back('S'))).toBe('not-isolated');
    expect(scene.judge(there('A'))).toBe('established');
    expect(scene.filter.flows.lists.sizes[states.TCP_ESTABLISHED]).toBe(1);
  });

  test('on a revoked flow is judged as any other', () => {
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

  test('that does not go to the sender of what it quotes is judged as any packet', () => {
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

  test('takes the place of what was known of it', () => {
    const scene = new Scene([dbFromWeb]);
    scene.judge(udpThere);
    scene.setPolicies([dbFromNobody]);
    scene.filter.seed(flow({ ...tcp, protocol: 17, dstPort: 53 }), 'revoked', scene.now);
    scene.now += 60_000;
    expect(scene.judge(udpBack)).toBe('revoked');
    scene.filter.seed(flow({ ...tcp, protocol: 17, dstPort: 53 }), 'established', scene.now);
    expect(scene.judge(udpBack)).toBe('established');
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

  test('works in IPv6', () => {
    const scene = new Scene([policy('db', { ingress: [], egress: [] })]);
    const [src0, src1, src2, src3] = b.words(WEB6) as [number, number, number, number];
    const [dst0, dst1, dst2, dst3] = b.words(DB6) as [number, number, number, number];
    const words = { family: 6, src0, src1, src2, src3, dst0, dst1, dst2, dst3 };
    scene.filter.seed(flow({ ...words, protocol: 58, srcPort: 9, dstPort: 9 }), 'established', scene.now);
    expect(scene.judge(b.ip(DB6, WEB6, b.echoReply(9)))).toBe('established');
  });
});

test('ports that are all ones are ports', () => {
  const scene = new Scene([policy('db', { ingress: [rule([from('web')], [port(65535)])] })]);
  scene.judge(b.ip(WEB, DB, b.tcp(65535, 65535, 'S')));
  scene.setPolicies([policy('db', { ingress: [rule([from('web')], [port(65535)])] })]);
  expect(scene.judge(b.ip(DB, WEB, b.tcp(65535, 65535, 'SA')))).toBe('established');
});

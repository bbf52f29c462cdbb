/**
 * A packet that only audited policies deny passes. It is reported with the reason that enforcement
 * would give, and its replies pass.
 */
import { describe, expect, test } from 'vitest';
import type { PolicyRecord } from '../../src/cluster/records.ts';
import { TCP_SYN_SENT } from '../../src/conntrack/states.ts';
import { Packet } from '../../src/packet/packet.ts';
import * as b from '../packet/build.ts';
import { audited, DB, DB6, FAR, from, OUTSIDE, policy, port, rule, Scene, WEB, WEB6 } from './scene.ts';
import { back, dbFromNobody, dbFromWeb, dbSilent, there, udpBack, udpThere } from './traffic.ts';

const webSilent = policy('web', { egress: [] });
const webDeaf = policy('web', { ingress: [] });

const judge = (scene: Scene, ...packets: Uint8Array[]) => packets.map((bytes) => scene.judgeAudited(bytes));
const scene = (...policies: PolicyRecord[]) => new Scene(policies);

describe('a packet that opens a flow and that audited policies deny', () => {
  test.each([
    ['ingress', dbFromNobody, '(ingress-denied)'],
    ['egress', webSilent, '(egress-denied)'],
  ] as const)(
    'for %s passes with the reason that would deny it, and the rest of its flow is established',
    (direction, denying, reason) => {
      const seen = scene(audited(denying));
      expect(judge(seen, there('S'))).toEqual([reason]);
      expect(seen.direction).toBe(direction);
      expect(judge(seen, back('SA'), there('A'))).toEqual(['established', 'established']);
      expect(seen.flows).toBe(1);
    },
  );

  test('lets its replies pass even if enforced policies would not let them open a flow', () => {
    const seen = scene(audited(dbFromNobody), dbSilent, webDeaf);
    expect(judge(seen, there('S'), back('SA'), udpThere, udpBack)).toEqual([
      '(ingress-denied)',
      'established',
      '(ingress-denied)',
      'established',
    ]);
    expect(judge(scene(audited(dbFromNobody), dbSilent, webDeaf), udpBack)).toEqual(['egress-denied']);
  });

  test('is denied, with that policy’s reason, if an enforced policy denies it too', () => {
    const seen = scene(audited(webSilent), dbFromNobody);
    expect(judge(seen, there('S'))).toEqual(['ingress-denied']);
    expect(seen.direction).toBe('ingress');
    expect(seen.flows).toBe(0);
  });

  test('would be denied by the source first if both sides are audited', () => {
    const seen = scene(audited(webSilent), audited(dbFromNobody));
    expect(judge(seen, there('S'))).toEqual(['(egress-denied)']);
    expect(seen.direction).toBe('egress');
  });

  test('passes in IPv6, and as a message, a fragment and an echo', () => {
    const seen = scene(audited(policy('db', { ingress: [rule([from('web')], [port(80, 'UDP')])] })));
    expect(
      judge(
        seen,
        b.ip(FAR, DB, b.udp(1, 80)),
        b.ip(WEB6, DB6, b.tcp(1, 80, 'S')),
        b.ip(WEB, DB, b.udp(1, 80), { offset: 1480 }),
        b.ip(WEB, DB, b.echoRequest(1)),
        b.ip(WEB, DB, b.raw(47)),
      ),
    ).toEqual(['(ingress-denied)', '(ingress-denied)', '(fragment)', '(ingress-denied)', '(ingress-denied)']);
  });

  test('does not make the next packet audited', () => {
    const seen = scene(audited(dbFromNobody));
    expect(judge(seen, there('S'), b.ip(WEB, OUTSIDE, b.udp(1, 2)))).toEqual(['(ingress-denied)', 'not-isolated']);
    seen.judge(there('S'));
    expect(judge(seen, Uint8Array.of(0x45))).toEqual(['malformed']);
  });

  test('is malformed for all policies', () => {
    expect(judge(scene(audited(dbFromNobody)), Uint8Array.of(0x45, 0))).toEqual(['malformed']);
  });

  test('opens a new flow if the old one is over, and is reported again', () => {
    const seen = scene(audited(dbFromNobody));
    expect(judge(seen, there('S'), back('SA'), there('A'), there('R'), there('S'))).toEqual([
      '(ingress-denied)',
      'established',
      'established',
      'established',
      '(ingress-denied)',
    ]);
    expect(seen.filter.flows.lists.sizes[TCP_SYN_SENT]).toBe(1);
  });

  test('lets ICMP errors about it pass as related, whatever audited policies say about those', () => {
    const seen = scene(audited(webDeaf));
    expect(judge(seen, udpThere, b.ip(DB, WEB, b.tooBig(udpThere)))).toEqual(['not-isolated', 'related']);
    expect(judge(seen, b.ip(DB, WEB, b.tooBig(b.ip(WEB, DB, b.udp(9, 9)))))).toEqual(['(ingress-denied)']);
  });
});

describe('a mid-stream packet', () => {
  test('passes if all policies for it are audited, is reported once, and its flow is known', () => {
    const seen = scene(audited(dbFromWeb), audited(dbSilent));
    expect(judge(seen, there('A'), back('A'), there('A'))).toEqual(['(mid-stream)', 'established', 'established']);
    expect(seen.direction).toBe('egress');
  });

  test('is denied if an enforced policy isolates one of the pods, in either direction', () => {
    for (const enforced of [dbSilent, webDeaf, webSilent]) {
      expect(judge(scene(audited(dbFromWeb), enforced), there('A'))).toEqual(['mid-stream']);
    }
  });

  test('belongs to the flow that the policies allow, so that it survives when they are enforced', () => {
    for (const first of [there('A'), back('A')]) {
      const seen = scene(audited(dbFromWeb), audited(dbSilent));
      seen.judge(first);
      seen.setPolicies([dbFromWeb, dbSilent]);
      expect(judge(seen, back('A'), there('A'))).toEqual(['established', 'established']);
    }
  });

  test('is revoked when they are enforced, if they allow it in neither direction', () => {
    const seen = scene(audited(dbFromNobody), audited(dbSilent));
    expect(judge(seen, there('A'))).toEqual(['(mid-stream)']);
    seen.setPolicies([dbFromNobody, dbSilent]);
    expect(judge(seen, there('A'), back('A'))).toEqual(['revoked', 'revoked']);
  });

  test('that answers a SYN or an echo has not opened the flow', () => {
    const seen = scene(audited(policy('db', { ingress: [], egress: [rule()] })));
    expect(judge(seen, back('SA'))).toEqual(['(mid-stream)']);
    seen.setPolicies([policy('db', { ingress: [], egress: [rule()] })]);
    expect(judge(seen, there('A'))).toEqual(['revoked']);
    const echo = scene(audited(dbFromNobody));
    expect(judge(echo, b.ip(WEB, DB, b.echoReply(6)))).toEqual(['(mid-stream)']);
  });

  test('is adopted if enforced policies would adopt it, and otherwise would be denied', () => {
    const adopting = (...policies: PolicyRecord[]) => {
      const seen = scene(...policies);
      seen.filter.adoption.adoptWhileGrowing('all', seen.now + 1000);
      return seen;
    };
    expect(judge(adopting(audited(dbFromWeb)), there('A'))).toEqual(['adopted']);
    expect(judge(adopting(audited(dbFromWeb), audited(dbSilent)), udpBack)).toEqual(['adopted']);
    expect(judge(adopting(audited(dbFromNobody), audited(dbSilent)), there('A'), udpBack)).toEqual([
      '(mid-stream)',
      '(egress-denied)',
    ]);
    // Only an audited policy denies the opening packet, so it passes.
    expect(judge(adopting(audited(dbFromNobody), dbSilent), udpBack, back('A'))).toEqual(['adopted', '(mid-stream)']);
  });
});

describe('a newer table', () => {
  test('in which only audited policies deny a flow lets it go on, and reports it once', () => {
    for (const packets of [
      [there('A'), back('A'), there('A')],
      [back('A'), there('A'), back('A')],
    ]) {
      const seen = scene(dbFromWeb);
      seen.judgeAll(there('S'), back('SA'), there('A'));
      seen.setPolicies([audited(dbFromNobody)]);
      expect(judge(seen, packets[0] as Uint8Array)).toEqual(['(revoked)']);
      expect(seen.direction).toBe('ingress');
      expect(judge(seen, ...packets.slice(1))).toEqual(['established', 'established']);
      seen.setPolicies([audited(dbFromNobody)]);
      expect(judge(seen, ...packets)).toEqual(['established', 'established', 'established']);
    }
  });

  test('that enforces audited policies keeps allowed flows and revokes denied ones', () => {
    const seen = scene(audited(dbFromWeb), audited(dbSilent));
    const stranger = (flags: string) => there(flags, FAR);
    expect(judge(seen, there('S'), back('SA'), stranger('S'), back('SA', FAR))).toEqual([
      'allowed-by-policy',
      'established',
      '(ingress-denied)',
      'established',
    ]);
    seen.setPolicies([dbFromWeb, dbSilent]);
    expect(judge(seen, there('A'), back('A'), stranger('A'), back('A', FAR))).toEqual([
      'established',
      'established',
      'revoked',
      'revoked',
    ]);
  });

  test('that audits enforced policies lets revoked flows pass again, and reports them', () => {
    const seen = scene(dbFromWeb);
    seen.judge(udpThere);
    seen.setPolicies([dbFromNobody]);
    expect(judge(seen, udpThere)).toEqual(['revoked']);
    seen.setPolicies([audited(dbFromNobody)]);
    expect(judge(seen, udpBack, udpThere)).toEqual(['(revoked)', 'established']);
  });

  test('does not report a flow because of an ICMP error about it', () => {
    const seen = scene(dbFromWeb);
    seen.judge(udpThere);
    seen.setPolicies([audited(dbFromNobody)]);
    expect(judge(seen, b.ip(DB, WEB, b.tooBig(udpThere)), udpThere, udpThere)).toEqual([
      'related',
      '(revoked)',
      'established',
    ]);
  });
});

describe('a flow seeded from the kernel that audited policies deny', () => {
  const tcp = { family: 4, protocol: 6, src0: b.word(WEB), dst0: b.word(DB), srcPort: 40000, dstPort: 5432 };
  const seed = (seen: Scene) => seen.filter.seed(Object.assign(new Packet(), tcp), 'established', seen.now);

  test('passes, and is reported once, however often it is seeded', () => {
    const seen = scene(audited(dbFromNobody), dbSilent);
    seed(seen);
    expect(judge(seen, back('A'), there('A'))).toEqual(['(revoked)', 'established']);
    seed(seen);
    expect(judge(seen, back('A'), there('A'))).toEqual(['established', 'established']);
    expect(seen.flows).toBe(1);
  });

  test('lives as long as an open one, though only its opening packet was seen', () => {
    const seen = scene(audited(dbFromNobody), dbSilent);
    expect(judge(seen, there('S'))).toEqual(['(ingress-denied)']);
    seen.now += 60_000;
    seed(seen);
    seen.now += 3_600_000;
    expect(judge(seen, there('A'), back('A'))).toEqual(['established', 'established']);
    expect(seen.flows).toBe(1);
  });

  test('is reported by judgeSeeded without a packet, and then not again', () => {
    const seen = scene(audited(dbFromNobody), dbSilent);
    const ask = () => seen.filter.judgeSeeded(Object.assign(new Packet(), tcp), seen.now);
    expect(ask()).toBe(false);
    seed(seen);
    expect(ask()).toBe(true);
    expect(seen.direction).toBe('ingress');
    expect(ask()).toBe(false);
    expect(judge(seen, back('A'), there('A'))).toEqual(['established', 'established']);
  });

  test('is not reported by judgeSeeded if it was reported when it was opened, or is allowed', () => {
    const seen = scene(audited(dbFromNobody));
    const ask = () => seen.filter.judgeSeeded(Object.assign(new Packet(), tcp), seen.now);
    expect(judge(seen, there('S'))).toEqual(['(ingress-denied)']);
    seen.setPolicies([audited(dbFromNobody), audited(dbSilent)]);
    seed(seen);
    expect(ask()).toBe(false);
    seen.setPolicies([audited(dbFromWeb)]);
    seed(seen);
    expect(ask()).toBe(false);
  });
});

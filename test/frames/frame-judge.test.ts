import { beforeEach, describe, expect, it } from 'vitest';
import { FlowTable } from '../../src/conntrack/flow-table.ts';
import { Filter } from '../../src/filter/filter.ts';
import { REASONS } from '../../src/filter/reasons.ts';
import { EARLY_FRAGMENT, FrameJudge, NOT_IP, SERVICE } from '../../src/frames/frame-judge.ts';
import { LINKTYPE_RAW } from '../../src/frames/link-frame.ts';
import { Places } from '../../src/frames/places.ts';
import { addressText, addressWords } from '../../src/policy/address-words.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { audited, from, policy, port, rule } from '../filter/scene.ts';
import { pod } from '../lab/cluster.ts';
import { icmp, ip, tcp, udp, viewOf } from '../packet/build.ts';

const WEB = '10.0.0.1';
const DB = '10.0.0.2';
/** A pod that may neither send nor receive. */
const CLOSED = '10.0.0.4';
const WEB6 = 'fd00::1';
const DB6 = 'fd00::2';
const NODE = '172.18.0.2';
const SERVICE_ADDRESS = '10.96.0.10';

const words = (address: string) => addressWords(address) ?? [];
const places = new Places({
  hosts: [
    { address: words(DB), node: 'node-1', isNode: false },
    { address: words(NODE), node: 'node-1', isNode: true },
    { address: words('172.18.0.3'), node: 'node-2', isNode: true },
  ],
  services: [words(SERVICE_ADDRESS)],
});

/** db allows TCP and UDP 5432 from web, and nothing else. web may send anything. */
function compiled() {
  const compiler = new PolicyCompiler('');
  const allowed = [port(5432), port(5432, 'UDP')];
  const records = [
    ...[pod('default/web', [WEB, WEB6]), pod('default/db', [DB, DB6]), pod('default/closed', [CLOSED])].map((each) => ({
      ...each,
      nodeName: '',
    })),
    policy('db', { ingress: [rule([from('web')], allowed)] }),
    policy('closed', { ingress: [], egress: [] }),
  ];
  compiler.apply(records.map((record) => ({ type: 'set', record })));
  return compiler;
}

let compiler: PolicyCompiler;
let judge: FrameJudge;
let told: string[];

function start(observes: boolean): void {
  compiler = compiled();
  told = [];
  judge = new FrameJudge(new Filter(new FlowTable(64), compiler.compile().table), places, {
    observes,
    flowCapacity: 64,
    tell: ({ src0, dst0, family, src3, dst3, srcPort, dstPort }, reason, _direction, _audited, reversed) => {
      const source = family === 4 ? addressText([src0]) : `::${src3}`;
      const destination = family === 4 ? addressText([dst0]) : `::${dst3}`;
      const ends = [`${source}:${srcPort}`, `${destination}:${dstPort}`];
      told.push(`${REASONS[reason]} ${(reversed ? ends.reverse() : ends).join(' > ')}`);
    },
  });
}

function says(packet: Uint8Array): string {
  const reason = judge.judge(viewOf(packet), 0, packet.length, packet.length, LINKTYPE_RAW, true, 1000);
  const others = new Map([
    [NOT_IP, 'not-ip'],
    [SERVICE, 'service'],
    [EARLY_FRAGMENT, 'early-fragment'],
  ]);
  return others.get(reason) ?? REASONS[reason] ?? '';
}

describe('traffic that is only observed', () => {
  beforeEach(() => start(true));

  it('is forgotten flow by flow, even if no policy applies', () => {
    expect(says(ip(WEB, DB, udp(1000, 5432)))).toBe('allowed-by-policy');
    expect(says(ip(WEB, '192.0.2.1', udp(5000, 53)))).toBe('not-isolated');
    const known = () => [judge.filter.flows.size, judge.rememberedFlows];
    expect(known()).toEqual([1, 1]);
    judge.expire(1000 + 3_600_000, 64);
    expect(known()).toEqual([0, 0]);
  });

  it('is reported once a flow; later packets of a denied flow are denied with it, both ways', () => {
    expect(says(ip(WEB, DB, tcp(1000, 80, 'S')))).toBe('ingress-denied');
    expect(says(ip(DB, WEB, tcp(80, 1000, 'SA')))).toBe('ingress-denied');
    expect(says(ip(WEB, DB, tcp(1000, 80, 'A')))).toBe('ingress-denied');
    expect(told).toEqual([`ingress-denied ${WEB}:1000 > ${DB}:80`]);
  });

  it('does not take the reply to a denied datagram for a new flow, which would allow the next request', () => {
    expect(says(ip(WEB, DB, udp(1000, 53)))).toBe('ingress-denied');
    expect(says(ip(DB, WEB, udp(53, 1000)))).toBe('ingress-denied');
    expect(says(ip(WEB, DB, udp(1000, 53)))).toBe('ingress-denied');
    expect(told).toHaveLength(1);
  });

  it('is judged again when the same ports open another connection', () => {
    says(ip(WEB, DB, tcp(1000, 80, 'S')));
    says(ip(WEB, DB, tcp(1000, 80, 'R')));
    expect(says(ip(WEB, DB, tcp(1000, 80, 'S')))).toBe('ingress-denied');
    expect(told).toHaveLength(2);
  });

  it('is judged again by another table', () => {
    says(ip(WEB, DB, udp(1000, 53)));
    compiler.apply([{ type: 'set', record: policy('db', { ingress: [rule()] }) }]);
    judge.filter.useTable(compiler.compile().table);
    expect(says(ip(WEB, DB, udp(1000, 53)))).toBe('allowed-by-policy');
    expect(says(ip(DB, WEB, udp(53, 1000)))).toBe('established');
  });

  it('is reported if no policy applies, in the direction in which it was opened', () => {
    expect(says(ip('192.0.2.1', WEB, tcp(4000, 80, 'SA')))).toBe('not-isolated');
    expect(says(ip(WEB, '192.0.2.1', tcp(80, 4000, 'A')))).toBe('not-isolated');
    says(ip('192.0.2.1', WEB, udp(53, 5000)));
    says(ip(WEB, '192.0.2.1', udp(5000, 53)));
    expect(told).toEqual([`not-isolated ${WEB}:80 > 192.0.2.1:4000`, `not-isolated ${WEB}:5000 > 192.0.2.1:53`]);
  });

  it('is adopted in the middle of a connection that one direction allows', () => {
    expect(says(ip(DB, WEB, tcp(5432, 40_000, 'A')))).toBe('adopted');
    expect(says(ip(WEB, DB, tcp(40_000, 5432, 'A')))).toBe('established');
    expect(says(ip(CLOSED, WEB, tcp(5432, 40_000, 'A')))).toBe('mid-stream');
    expect(told).toEqual([`adopted ${WEB}:40000 > ${DB}:5432`, `mid-stream ${WEB}:40000 > ${CLOSED}:5432`]);
  });

  it('is left out if it has the address of a Service', () => {
    expect(says(ip(WEB, SERVICE_ADDRESS, tcp(1000, 80, 'S')))).toBe('service');
    expect(says(ip(SERVICE_ADDRESS, WEB, tcp(80, 1000, 'SA')))).toBe('service');
    expect(told).toEqual([]);
  });

  it('is allowed between a pod and its own node only', () => {
    expect(says(ip(NODE, DB, tcp(1000, 10250, 'S')))).toBe('local-node');
    expect(says(ip(DB, NODE, tcp(10250, 1000, 'SA')))).toBe('local-node');
    expect(says(ip('172.18.0.3', DB, tcp(1000, 10250, 'S')))).toBe('ingress-denied');
  });
});

describe('traffic that is stopped if it is denied', () => {
  beforeEach(() => start(false));

  it('is reported with every denied packet, and with the first packet of an allowed flow', () => {
    says(ip(WEB, DB, tcp(1000, 80, 'S')));
    says(ip(WEB, DB, tcp(1000, 80, 'S')));
    says(ip(WEB, DB, tcp(1000, 5432, 'S')));
    expect(says(ip(DB, WEB, tcp(5432, 1000, 'SA')))).toBe('established');
    expect(told).toEqual([
      `ingress-denied ${WEB}:1000 > ${DB}:80`,
      `ingress-denied ${WEB}:1000 > ${DB}:80`,
      `allowed-by-policy ${WEB}:1000 > ${DB}:5432`,
    ]);
  });

  it('that no policy applied to is known to a new policy: it goes on as it was opened, or is revoked both ways', () => {
    compiler.apply([{ type: 'delete', record: policy('db', { ingress: [] }) }]);
    judge.filter.useTable(compiler.compile().table);
    expect(says(ip(WEB, DB, udp(1000, 5432)))).toBe('not-isolated');
    expect(says(ip(WEB, DB, udp(1000, 53)))).toBe('not-isolated');
    expect(says(ip(WEB, DB, tcp(1000, 5432, 'A')))).toBe('not-isolated');
    expect(says(ip(DB, WEB, udp(53, 1000)))).toBe('not-isolated');
    expect(told).toHaveLength(3);
    compiler.apply([
      { type: 'set', record: policy('db', { ingress: [rule([from('web')], [port(5432), port(5432, 'UDP')])] }) },
    ]);
    judge.filter.useTable(compiler.compile().table);
    expect(says(ip(WEB, DB, udp(1000, 5432)))).toBe('established');
    expect(says(ip(WEB, DB, tcp(1000, 5432, 'A')))).toBe('established');
    expect(says(ip(DB, WEB, udp(53, 1000)))).toBe('revoked');
    expect(says(ip(WEB, DB, udp(1000, 53)))).toBe('revoked');
  });

  it('is not adopted in the middle, and a Service is an address like any other', () => {
    expect(says(ip(WEB, DB, tcp(1000, 5432, 'A')))).toBe('mid-stream');
    expect(says(ip(WEB, SERVICE_ADDRESS, tcp(1000, 80, 'S')))).toBe('not-isolated');
  });
});

describe('a packet that only audited policies deny', () => {
  beforeEach(() => {
    start(false);
    compiler.apply([{ type: 'set', record: audited(policy('db', { ingress: [] })) }]);
    judge.filter.useTable(compiler.compile().table);
  });

  it('passes, and its flow after it, both ways', () => {
    expect([says(ip(WEB, DB, tcp(1000, 80, 'S'))), judge.isAudited]).toEqual(['ingress-denied', true]);
    expect([says(ip(DB, WEB, tcp(80, 1000, 'SA'))), judge.isAudited]).toEqual(['established', false]);
    expect(told).toEqual([`ingress-denied ${WEB}:1000 > ${DB}:80`]);
  });

  it('is reported once if traffic is only observed, and its flow is established', () => {
    const { table } = judge.filter;
    start(true);
    judge.filter.useTable(table);
    const said = [ip(WEB, DB, udp(1000, 53)), ip(DB, WEB, udp(53, 1000)), ip(WEB, DB, udp(1000, 53))].map(says);
    expect(said).toEqual(['ingress-denied', 'established', 'established']);
    expect(told).toHaveLength(1);
  });

  it('passes with all fragments of its datagram', () => {
    const first = says(ip(WEB, DB, udp(1000, 53, { data: 24, length: 64 }), { more: true }));
    expect([first, judge.isAudited]).toEqual(['ingress-denied', true]);
    expect([says(ip(WEB, DB, udp(1, 2, { data: 24 }), { offset: 32 })), judge.isAudited]).toEqual([
      'allowed-by-policy',
      false,
    ]);
  });

  it('is allowed between a pod and its own node, and is then not audited', () => {
    expect([says(ip(NODE, DB, tcp(1000, 10250, 'S'))), judge.isAudited]).toEqual(['local-node', false]);
  });
});

describe.each([
  ['IPv4', WEB, DB],
  ['IPv6', WEB6, DB6],
])('a fragment of %s', (_, web, db) => {
  beforeEach(() => start(false));

  it('follows the first one of its datagram', () => {
    expect(says(ip(web, db, udp(1000, 5432, { data: 24, length: 64 }), { more: true }))).toBe('allowed-by-policy');
    expect(says(ip(web, db, udp(1, 2, { data: 24 }), { offset: 32 }))).toBe('allowed-by-policy');
    expect(says(ip(web, db, udp(1000, 53, { data: 24, length: 64 }), { more: true }))).toBe('ingress-denied');
    expect(says(ip(web, db, udp(1, 2, { data: 24 }), { offset: 32 }))).toBe('ingress-denied');
    expect(told).toHaveLength(2);
  });

  it('from another sender does not', () => {
    says(ip(web, db, udp(1000, 5432, { data: 24, length: 64 }), { more: true }));
    const other = db === DB ? '192.0.2.1' : '2001:db8::1';
    expect(says(ip(other, db, udp(1, 2, { data: 24 }), { offset: 32 }))).toBe('early-fragment');
  });

  it('that comes before the first one is returned with it', () => {
    expect(says(ip(web, db, udp(1, 2, { data: 24 }), { offset: 32 }))).toBe('early-fragment');
    judge.fragments.hold(judge.datagram, Uint8Array.of(1), 1000);
    says(ip(web, db, udp(1000, 5432, { data: 24, length: 64 }), { more: true }));
    expect(judge.released).toEqual([Uint8Array.of(1)]);
    says(ip(web, db, udp(1, 5432)));
    expect(judge.released).toEqual([]);
  });

  it('needs no first one if no port decides', () => {
    expect(says(ip(db, web, icmp(8, 0, 0, 24), { offset: 32 }))).toBe('not-isolated');
  });
});

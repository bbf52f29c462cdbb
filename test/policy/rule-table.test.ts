/** What the table contains and what a lookup costs, measured by structure, not by time. */
import { describe, expect, test } from 'vitest';
import type { ClusterRecord } from '../../src/cluster/records.ts';
import { addressWords } from '../../src/policy/address-words.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { EGRESS, INGRESS, RuleTable } from '../../src/policy/rule-table.ts';
import { slotOf } from './judge-sides.ts';
import { allow, ingressPolicy, matching, NODE, namespace, pod, set, tcp } from './records.ts';
import { type ENTRY_WORDS, longestProbe, section, used } from './sections.ts';

function tableOf(...records: ClusterRecord[]): RuleTable {
  const compiler = new PolicyCompiler(NODE.name);
  compiler.apply(set(...records));
  return compiler.compile().table;
}

const entries = (table: RuleTable, name: keyof typeof ENTRY_WORDS) => used(table, name).filter(Boolean).length;
const address = (i: number) => `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
const word = (text: string) => addressWords(text)?.[0] as number;

describe('endpoints that the same policies select share a class', () => {
  const table = tableOf(
    namespace('default'),
    pod('a', '10.0.0.1', { app: 'web', version: '1' }),
    pod('b', '10.0.0.2', { app: 'web', version: '2' }),
    pod('c', '10.0.0.3', { app: 'db' }),
    pod('d', '10.0.0.4', { app: 'web' }, { nodeName: 'there' }),
    pod('other/e', '10.0.0.5', { app: 'web' }),
    ingressPolicy('web', [], { podSelector: matching({ app: 'web' }) }),
  );
  const classOf = (text: string) => table.endpointClass(slotOf(table, text));

  test('even if their labels differ', () => {
    expect(classOf('10.0.0.1')).toBe(classOf('10.0.0.2'));
    expect(classOf('10.0.0.1')).toBeGreaterThan(0);
  });

  test.each([
    ['an endpoint that no policy selects', '10.0.0.3'],
    ['a pod of another node', '10.0.0.4'],
    ['an endpoint of another namespace', '10.0.0.5'],
    ['this node', '10.9.0.1'],
    ['an unknown address', '192.0.2.1'],
  ])('but %s has none', (_, text) => {
    expect(classOf(text)).toBe(0);
  });
});

describe('rules are stored for groups, not for pods', () => {
  const replicas = (count: number) =>
    Array.from({ length: count }, (_, i) => pod(`web-${i}`, address(i), { app: 'web' }, { nodeName: 'there' }));
  const database = [
    pod('db', '10.0.0.1', { app: 'db' }),
    ingressPolicy('db', [allow([{ podSelector: matching({ app: 'web' }) }], [tcp(5432)])]),
  ];

  test('a thousand replicas share one identity and one rule', () => {
    const table = tableOf(...database, ...replicas(1000));
    expect(section(table, 'groups').length).toBe(section(tableOf(...database, ...replicas(1)), 'groups').length);
    expect(entries(table, 'groupRules')).toBe(1);
  });

  test('and all namespaces that a namespaceSelector matches share one rule', () => {
    const everybody = ingressPolicy('everybody', [allow([{ namespaceSelector: matching() }], [tcp(80)])]);
    const others = Array.from({ length: 500 }, (_, i) => [
      namespace(`n${i}`),
      pod(`n${i}/p`, address(i), { app: `${i}` }, { nodeName: 'there' }),
    ]).flat();
    expect(entries(tableOf(pod('db', '10.0.0.1'), everybody, ...others), 'groupRules')).toBe(1);
  });
});

describe('a lookup among ten thousand policies costs as much as among one', () => {
  const peers = Array.from({ length: 10_000 }, (_, i) =>
    pod(`p${i}`, address(i), { app: `${i}` }, { nodeName: 'there' }),
  );
  const policies = (app: (i: number) => string) =>
    peers.map((_, i) => ingressPolicy(`n${i}`, [allow([{ podSelector: matching({ app: app(i) }) }], [tcp(i + 1)])]));

  test('all of them naming one peer are one rule with one range', () => {
    const table = tableOf(pod('server', '10.0.0.1'), ...peers, ...policies(() => '7'));
    expect(entries(table, 'groupRules')).toBe(1);
    const slot = slotOf(table, '10.0.0.1');
    const peer = slotOf(table, address(7));
    for (const [port, allowed] of [
      [1, true],
      [10_000, true],
      [10_001, false],
    ] as const) {
      expect(table.allows4(slot, INGRESS, peer, word(address(7)), slot, 6, port)).toBe(allowed);
    }
  });

  test('each naming its own peer, a lookup checks a few entries of ten thousand', () => {
    const table = tableOf(pod('server', '10.0.0.1'), ...peers, ...policies((i) => `${i}`));
    expect(entries(table, 'groupRules')).toBe(10_000);
    expect(longestProbe(table, 'groupRules')).toBeLessThan(100);
    expect(longestProbe(table, 'addresses4')).toBeLessThan(100);
    for (const name of ['groupRules', 'addresses4'] as const) {
      expect(2 * entries(table, name)).toBeLessThanOrEqual(used(table, name).length);
    }
    const slot = slotOf(table, '10.0.0.1');
    for (let i = 0; i < 10_000; i += 97) {
      const peer = slotOf(table, address(i));
      expect(table.allows4(slot, INGRESS, peer, word(address(i)), slot, 6, i + 1)).toBe(true);
      expect(table.allows4(slot, INGRESS, peer, word(address(i)), slot, 6, i + 2)).toBe(false);
    }
  });

  test('ten thousand ipBlocks of one length are one prefix length to look up', () => {
    const blocks = peers.map((_, i) => ({ ipBlock: { cidr: `${address(i)}/32`, except: [] } }));
    const table = tableOf(pod('server', '10.0.0.1'), ingressPolicy('blocks', [allow(blocks)]));
    expect(entries(table, 'prefixes4')).toBe(10_000);
    expect(longestProbe(table, 'prefixes4')).toBeLessThan(100);
  });
});

describe('on the packet path', () => {
  const table = tableOf(
    namespace('default'),
    pod(
      'server',
      '10.0.0.1',
      {},
      { addresses: ['10.0.0.1', 'fd00::1'], ports: [{ name: 'web', port: 80, protocol: 'TCP' }] },
    ),
    pod('client', '10.0.0.2', { app: 'client' }, { addresses: ['10.0.0.2', 'fd00::2'] }),
    ingressPolicy('all', [
      allow([{ podSelector: matching({ app: 'client' }) }], [tcp('web'), tcp(1, 2), { protocol: 'UDP' }]),
      allow([
        { ipBlock: { cidr: '192.0.0.0/8', except: ['192.0.2.0/24'] } },
        { ipBlock: { cidr: 'fd00::/8', except: [] } },
      ]),
    ]),
  );
  const [server, client] = [slotOf(table, '10.0.0.1'), slotOf(table, '10.0.0.2')];

  /** Makes every query once. The result depends on every answer, so that none is optimized away. */
  function askAll(slot: number, peer: number, i: number): number {
    let yes = 0;
    yes +=
      table.lookup4(i) + table.lookup4(0x0a000001) + table.lookup6(i, 0, 0, 1) + table.lookup6(0xfd000000 | 0, 0, 0, 1);
    yes +=
      +table.isShared(slot) + +table.isEndpoint(slot) + +table.samePod(slot, peer) + +table.isIsolated(slot, INGRESS);
    for (const protocol of [1, 6, 17, 132]) {
      yes += +table.allows4(slot, INGRESS, peer, -0x3ffffe00 + i, slot, protocol, (i & 127) - 1);
      yes += +table.allows6(slot, INGRESS, peer, 0xfd000000 | 0, i, 0, 1, slot, protocol, (i & 127) - 1);
      yes += +table.allows4(slot, EGRESS, peer, i, peer, protocol, 80);
    }
    return yes;
  }

  test('nothing allocates', () => {
    for (let i = 0; i < 20_000; i++) askAll(server, client, i);
    let least = Number.POSITIVE_INFINITY;
    // The minimum of a few rounds: allocations of the runtime itself do not count.
    for (let round = 0; round < 5; round++) {
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < 20_000; i++) askAll(server, client, i);
      least = Math.min(least, Math.abs(process.memoryUsage().heapUsed - before));
    }
    // 20,000 times 20 calls: an allocation in every hundredth call would exceed this.
    expect(least).toBeLessThan(64_000);
  });

  test.each([
    ['no slot', -1],
    ['a slot far beyond the table', 1_000_000],
  ])('%s is no endpoint, not isolated and allowed nothing, and nothing throws', (_, slot) => {
    for (const direction of [EGRESS, INGRESS] as const) {
      expect(table.isEndpoint(slot)).toBe(false);
      expect(table.isIsolated(slot, direction)).toBe(false);
      for (const port of [-1, 0, 80, 65_535, 1_000_000]) {
        expect(table.allows4(slot, direction, slot, -1, slot, 6, port)).toBe(false);
        expect(table.allows6(slot, direction, slot, -1, -1, -1, -1, slot, 6, port)).toBe(false);
        expect(table.allows4(server, INGRESS, slot, 0, slot, 6, port)).toBe(false);
      }
    }
  });

  test('another reader of the same buffer sees the same', () => {
    const other = new RuleTable(table.buffer);
    expect(other.generation).toBe(table.generation);
    expect(slotOf(other, 'fd00::2')).toBe(client);
    expect(other.isIsolated(server, INGRESS)).toBe(true);
  });

  test('the addresses of one pod have one slot, and an unknown one is no pod', () => {
    expect(table.samePod(server, slotOf(table, 'fd00::1'))).toBe(true);
    expect(table.samePod(server, client)).toBe(false);
    expect(table.samePod(-1, -1)).toBe(false);
    expect(table.isShared(-1)).toBe(false);
  });
});

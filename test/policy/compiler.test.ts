import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClusterRecord, PodRecord, PolicyPeer } from '../../src/cluster/records.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { judgeSides } from './judge-sides.ts';
import { allow, ingressPolicy, matching, NODE, namespace, pod, remove, set, tcp } from './records.ts';
import { section } from './sections.ts';

function compilerOf(...records: ClusterRecord[]): PolicyCompiler {
  const compiler = new PolicyCompiler(NODE.name);
  compiler.apply(set(...records));
  return compiler;
}

/** Whether the pod at `to` allows a packet in. */
function takesIn(compiler: PolicyCompiler, from: string, to: string, port = 80, protocol = 6): boolean {
  const { table } = compiler.compile();
  return judgeSides(table, { source: from, destination: to, protocol, port }).ingress.allowed;
}

describe('an address in the records of several pods', () => {
  const [first, second] = [pod('first', '10.0.0.1', {}, { created: 1 }), pod('second', '10.0.0.1', {}, { created: 2 })];
  const owners = (compiler: PolicyCompiler) => compiler.compile().podsAt('10.0.0.1');
  const changed = (record: PodRecord, more: Partial<PodRecord>) => set({ ...record, ...more });

  test('belongs to the pod that was created last, whatever the order of records, and to the other when that one is deleted', () => {
    expect(owners(compilerOf(second, first))).toEqual(['default/second']);
    const compiler = compilerOf(first, second);
    expect(owners(compiler)).toEqual(['default/second']);
    compiler.apply(remove(second));
    expect(owners(compiler)).toEqual(['default/first']);
    compiler.apply(remove(first));
    expect(owners(compiler)).toEqual([]);
  });

  test.each<[string, Partial<PodRecord>]>([
    ['is being deleted', { deleting: true }],
    ['is on a lost node', { lost: true }],
    ['is not ready', { unready: true }],
    ['is older', { created: 0 }],
  ])('does not belong to a pod that %s, from the moment that this is known', (_, standing) => {
    const compiler = compilerOf(first, second);
    compiler.apply(changed(second, standing));
    expect(owners(compiler)).toEqual(['default/first']);
    compiler.apply(set(second));
    expect(owners(compiler)).toEqual(['default/second']);
  });

  test('belongs to the same pod after unrelated changes', () => {
    const compiler = compilerOf(first, second);
    compiler.apply(changed(first, { labels: { changed: 'yes' }, addresses: ['10.0.0.1', 'fd00::1'] }));
    expect(owners(compiler)).toEqual(['default/second']);
    expect(compiler.compile().podsAt('fd00::1')).toEqual(['default/first']);
  });

  test('is shared by pods of two nodes, whichever is older: one may have got it again', () => {
    const compiler = compilerOf(first, { ...second, nodeName: 'there' });
    expect(owners(compiler)).toEqual(['default/first', 'default/second']);
  });

  test('is isolated only by policies for its owner', () => {
    const lost: PodRecord = { ...first, lost: true };
    const compiler = compilerOf(lost, { ...second, nodeName: 'there' }, ingressPolicy('deny', []));
    expect(compiler.compile().steered).toEqual([]);
    compiler.apply(remove(second));
    expect(compiler.compile().steered).toEqual(['10.0.0.1']);
  });

  describe('whose owner is unknown', () => {
    const [web, job] = [pod('web', '10.0.0.1', { app: 'web' }), pod('job', '10.0.0.1', { app: 'job' })];
    const webOnly = ingressPolicy('web', [allow([{ podSelector: matching({ app: 'client' }) }])], {
      podSelector: matching({ app: 'web' }),
    });
    const client = pod('client', '10.0.0.2', { app: 'client' });

    test('is isolated if one of the pods is, here or elsewhere, and allowed only what both are', () => {
      const compiler = compilerOf(namespace('default'), web, { ...job, nodeName: 'there' }, client, webOnly);
      expect(compiler.sharedAddresses()).toEqual([{ address: '10.0.0.1', pods: ['default/job', 'default/web'] }]);
      expect(compiler.compile().steered).toEqual(['10.0.0.1']);
      expect(takesIn(compiler, '10.0.0.2', '10.0.0.1')).toBe(true);
      expect(takesIn(compiler, '10.0.0.3', '10.0.0.1')).toBe(false);
      compiler.apply(set(ingressPolicy('job', [], { podSelector: matching({ app: 'job' }) })));
      expect(takesIn(compiler, '10.0.0.2', '10.0.0.1')).toBe(false);
      compiler.apply(remove(job));
      expect(takesIn(compiler, '10.0.0.2', '10.0.0.1')).toBe(true);
      expect(compiler.sharedAddresses()).toEqual([]);
    });

    test('is allowed in only if both pods are', () => {
      const server = pod('server', '10.0.0.9', { app: 'server' });
      const from = (app: string) => ({ podSelector: matching({ app }) });
      const lets = (...apps: string[]) =>
        set(ingressPolicy('server', [allow(apps.map(from))], { podSelector: matching({ app: 'server' }) }));
      const compiler = compilerOf(namespace('default'), web, { ...job, nodeName: 'there' }, server);
      compiler.apply(lets('web'));
      expect(takesIn(compiler, '10.0.0.1', '10.0.0.9')).toBe(false);
      compiler.apply(lets('web', 'job'));
      expect(takesIn(compiler, '10.0.0.1', '10.0.0.9')).toBe(true);
    });

    test('is closed if too many pods have it, and opens when fewer do', () => {
      const many = Array.from({ length: 9 }, (_, i) => pod(`p${i}`, '10.0.0.1'));
      const [last] = many.slice(-1);
      const compiler = compilerOf(namespace('default'), client, ...many);
      expect(compiler.compile().steered).toEqual(['10.0.0.1']);
      expect(takesIn(compiler, '10.0.0.2', '10.0.0.1')).toBe(false);
      expect(compiler.sharedAddresses()[0]?.pods).toHaveLength(9);
      compiler.apply(remove(last as PodRecord));
      expect(compiler.compile().steered).toEqual([]);
      expect(takesIn(compiler, '10.0.0.2', '10.0.0.1')).toBe(true);
    });

    test('yields one table for every order of the records and their changes', () => {
      const others = [
        pod('gone', '10.0.0.1', { app: 'web' }, { deleting: true, created: 9 }),
        pod('lost', '10.0.0.1', {}, { lost: true, created: 9 }),
      ];
      const before = [
        { ...web, deleting: true as const },
        { ...job, created: 5 },
      ];
      const last: ClusterRecord[] = [namespace('default'), web, job, client, webOnly, ...others];
      const outcome = (changes: readonly ClusterRecord[]) => {
        const compiler = new PolicyCompiler(NODE.name);
        for (const record of changes) {
          compiler.apply(set(record));
          compiler.compile();
        }
        const verdicts = ['10.0.0.2', '10.0.0.3'].map((from) => takesIn(compiler, from, '10.0.0.1'));
        return [compiler.compile().steered, verdicts, owners(compiler)];
      };
      const expected = [['10.0.0.1'], [true, false], ['default/job', 'default/web']];
      fc.assert(
        fc.property(
          fc.shuffledSubarray([...before, ...others]),
          fc.shuffledSubarray(last, { minLength: last.length }),
          (first, then) => {
            expect(outcome([...first, ...then])).toEqual(expected);
          },
        ),
      );
    });
  });
});

describe('an unknown namespace', () => {
  const selectors: [what: string, peer: PolicyPeer][] = [
    ['an empty one', { namespaceSelector: matching() }],
    [
      'NotIn',
      { namespaceSelector: { matchLabels: {}, matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['b'] }] } },
    ],
    [
      'DoesNotExist',
      {
        namespaceSelector: { matchLabels: {}, matchExpressions: [{ key: 'a', operator: 'DoesNotExist', values: [] }] },
      },
    ],
    ['its name', { namespaceSelector: matching({ 'kubernetes.io/metadata.name': 'late' }) }],
  ];
  test.each(selectors)('is matched by no namespaceSelector, %s', (_, peer) => {
    const server = pod('server', '10.0.0.1');
    const client = pod('late/client', '10.0.0.2', {}, { nodeName: 'there' });
    const compiler = compilerOf(namespace('default'), server, client, ingressPolicy('some', [allow([peer])]));
    expect(takesIn(compiler, '10.0.0.2', '10.0.0.1')).toBe(false);
    compiler.apply(set(namespace('late')));
    expect(takesIn(compiler, '10.0.0.2', '10.0.0.1')).toBe(true);
    compiler.apply(remove(namespace('late')));
    expect(takesIn(compiler, '10.0.0.2', '10.0.0.1')).toBe(false);
  });

  test('is matched by the podSelectors of its own policies', () => {
    const own = ingressPolicy('own', [allow([{ podSelector: matching() }])]);
    const compiler = compilerOf(pod('server', '10.0.0.1'), pod('client', '10.0.0.2'), own);
    expect(takesIn(compiler, '10.0.0.2', '10.0.0.1')).toBe(true);
  });
});

describe('an invalid policy', () => {
  test('isolates its pods, allows nothing, and takes nothing from what others allow', () => {
    const broken = ingressPolicy('broken', [allow([])], { error: 'spec.ingress[0].ports[0].port: 99999' });
    const compiler = compilerOf(pod('server', '10.0.0.1'), broken);
    expect(takesIn(compiler, '192.0.2.1', '10.0.0.1')).toBe(false);
    expect(compiler.compile().isolatingPolicies('10.0.0.1', 'ingress')).toEqual(['default/broken']);
    compiler.apply(set(ingressPolicy('fine', [allow([], [tcp(80)])])));
    expect(takesIn(compiler, '192.0.2.1', '10.0.0.1')).toBe(true);
    expect(takesIn(compiler, '192.0.2.1', '10.0.0.1', 81)).toBe(false);
  });

  test.each([
    ['a cidr', { cidr: '10.0.0.0/40', except: [] }],
    ['an except', { cidr: '0.0.0.0/0', except: ['10.0.0.0'] }],
  ])('matches no address by a block with %s that is invalid', (_, ipBlock) => {
    const compiler = compilerOf(pod('server', '10.0.0.1'), ingressPolicy('block', [allow([{ ipBlock }])]));
    expect(takesIn(compiler, '192.0.2.1', '10.0.0.1')).toBe(false);
  });
});

describe('hostNetwork pods', () => {
  const host = pod('agent', '10.0.0.9', { app: 'agent' }, { hostNetwork: true });

  test('are not isolated, and only ipBlocks match them', () => {
    const selecting = ingressPolicy('selecting', [
      allow([{ podSelector: matching() }, { namespaceSelector: matching() }]),
    ]);
    const compiler = compilerOf(namespace('default'), pod('server', '10.0.0.1'), host, selecting);
    expect(compiler.compile().steered).toEqual(['10.0.0.1']);
    expect(takesIn(compiler, '10.0.0.9', '10.0.0.1')).toBe(false);
    compiler.apply(set(ingressPolicy('block', [allow([{ ipBlock: { cidr: '10.0.0.9/32', except: [] } }])])));
    expect(takesIn(compiler, '10.0.0.9', '10.0.0.1')).toBe(true);
  });
});

describe('named ports', () => {
  const policy = ingressPolicy('named', [allow([], [tcp('web')])], {
    isolates: ['egress'],
    ingress: [],
    egress: [allow([], [tcp('web')])],
  });
  const server = (name: string, address: string, port: number) =>
    pod(name, address, {}, { nodeName: 'there', ports: [{ name: 'web', port, protocol: 'TCP' }] });

  test('are resolved by each destination’s own ports', () => {
    const compiler = compilerOf(
      pod('client', '10.0.0.1'),
      server('a', '10.0.0.2', 80),
      server('b', '10.0.0.3', 8080),
      policy,
    );
    const { table } = compiler.compile();
    const leaves = (to: string, port: number, protocol = 6) =>
      judgeSides(table, { source: '10.0.0.1', destination: to, protocol, port }).egress.allowed;
    expect([leaves('10.0.0.2', 80), leaves('10.0.0.2', 8080)]).toEqual([true, false]);
    expect([leaves('10.0.0.3', 80), leaves('10.0.0.3', 8080)]).toEqual([false, true]);
    expect(leaves('10.0.0.2', 80, 17)).toBe(false);
    expect(leaves('192.0.2.1', 80)).toBe(false);
  });
});

describe('isolated', () => {
  test('lists all addresses of isolated endpoints, canonical and sorted', () => {
    const compiler = compilerOf(
      pod('b', '10.0.0.20', {}, { addresses: ['10.0.0.20', 'FD00:0::1'] }),
      pod('a', '10.0.0.100'),
      pod('other/c', '10.0.0.3'),
      pod('d', '10.0.0.4', {}, { nodeName: 'there' }),
      ingressPolicy('deny', []),
    );
    expect(compiler.compile().steered).toEqual(['10.0.0.100', '10.0.0.20', 'fd00::1']);
  });
});

describe('tables', () => {
  test('have increasing generations', () => {
    const compiler = compilerOf();
    const generations = [1, 2, 3].map(() => compiler.compile().table.generation);
    expect(generations).toEqual([1, 2, 3]);
  });

  test('use the memory of a recycled table, and of no other', () => {
    const compiler = compilerOf(pod('server', '10.0.0.1'));
    const [kept, recycled] = [compiler.compile(), compiler.compile()];
    compiler.recycle(recycled.table);
    compiler.recycle(recycled.table);
    compiler.apply(set(pod('server', '10.0.0.2')));
    const [next, afterNext] = [compiler.compile(), compiler.compile()];
    expect(next.table.buffer).toBe(recycled.table.buffer);
    expect(new Set([kept, next, afterNext].map(({ table }) => table.buffer)).size).toBe(3);
    expect(kept.podsAt('10.0.0.1')).toEqual(['default/server']);
    expect(next.podsAt('10.0.0.1')).toEqual([]);
    expect(next.podsAt('10.0.0.2')).toEqual(['default/server']);
  });

  test('do not grow as policies, pods and ports come and go', () => {
    const compiler = compilerOf(namespace('default'), pod('server', '10.0.0.1'));
    const sizes: number[] = [];
    for (let i = 0; i < 4000; i++) {
      const peer = { podSelector: matching({ app: `${i}` }), namespaceSelector: matching({ team: `${i}` }) };
      const changing = [
        pod(`p${i % 3}`, `10.1.0.${i % 3}`, { app: `${i}` }, { ports: [{ name: `n${i}`, port: 80, protocol: 'TCP' }] }),
        ingressPolicy('edited', [
          allow([peer, { podSelector: matching({ app: `${i}` }) }], [tcp(`n${i}`), tcp(1 + i)]),
        ]),
        namespace(`n${i}`),
      ];
      compiler.apply(set(...changing));
      if (i % 4 === 0) compiler.compile();
      compiler.apply(remove(namespace(`n${i}`)));
      if (i % 400 === 399) sizes.push(section(compiler.compile().table, 'portSets').length);
    }
    expect(Math.max(...sizes)).toBeLessThan(20_000);
    const { table } = compiler.compile();
    expect(section(table, 'groups').length).toBeLessThan(64);
    expect(section(table, 'namedPorts').length).toBeLessThan(64);
    expect(takesIn(compiler, '10.1.0.0', '10.0.0.1', 4000)).toBe(true);
    expect(takesIn(compiler, '10.1.0.1', '10.0.0.1', 4000)).toBe(false);
  });
});

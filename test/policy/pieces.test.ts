import { describe, expect, test } from 'vitest';
import type { ClusterRecord, LabelSelector } from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { finish, inPieces, inPiecesOfAll } from '../../src/policy/pieces.ts';
import type { RuleTable } from '../../src/policy/rule-table.ts';
import { judgeSides } from './judge-sides.ts';
import { allow, ingressPolicy, matching, NODE, namespace, pod, remove, set } from './records.ts';

describe('work in pieces', () => {
  const items = Array.from({ length: 50 }, (_, i) => i);

  test.each([
    { what: 'an array', of: () => items },
    { what: 'a set', of: () => new Set(items) },
    { what: 'an iterator', of: () => new Map(items.map((item) => [item, item])).values() },
  ])('on $what pauses after every twenty, and ends with the last', ({ of }) => {
    const done: number[] = [];
    const stops: number[] = [];
    for (const _ of inPieces(of(), (item) => done.push(item))) stops.push(done.length);
    expect(stops).toEqual([20, 40]);
    expect(done).toEqual(items);
  });

  test('on many short collections pauses as often, and on empty ones too', () => {
    const none = Array.from({ length: 30 }, () => []);
    const done: number[] = [];
    const stops: number[] = [];
    for (const _ of inPiecesOfAll([...none, new Set([1, 2, 3]), ...items.map((item) => [item])], (item) =>
      done.push(item),
    ))
      stops.push(done.length);
    expect(stops).toEqual([0, 6, 16, 26, 36, 46]);
    expect(done).toEqual([1, 2, 3, ...items]);
  });

  test('skips what is deleted before it gets there', () => {
    const left = new Set(items);
    const done: number[] = [];
    const work = inPieces(left, (item) => done.push(item));
    work.next();
    left.delete(33);
    finish(work);
    expect(done).toEqual(items.filter((item) => item !== 33));
  });

  test('is done at once by finish', () => {
    const done: number[] = [];
    finish(inPieces(items, (item) => done.push(item)));
    expect(done).toEqual(items);
  });
});

describe('a change that concerns much of a cluster', () => {
  const SERVER = '10.0.0.1';
  const NAMESPACES = 300;
  const isOdd = (i: number) => (i % 2 === 1 ? { odd: 'yes' } : {});
  const peers = Array.from({ length: 2 * NAMESPACES }, (_, i) =>
    pod(
      `ns-${i % NAMESPACES}/p${i}`,
      `10.1.${i >> 8}.${i & 255}`,
      { app: i % 3 === 0 ? 'web' : 'other', ...isOdd(i >> 2) },
      { nodeName: 'there' },
    ),
  );
  const cluster: ClusterRecord[] = [
    namespace('default'),
    ...Array.from({ length: NAMESPACES }, (_, i) => namespace(`ns-${i}`, isOdd(i))),
    ...peers,
    pod('server', SERVER),
    ingressPolicy('deny', []),
  ];
  const without = (key: string): LabelSelector => ({
    ...matching(),
    matchExpressions: [{ key, operator: 'DoesNotExist', values: [] }],
  });
  const web = { namespaceSelector: matching(), podSelector: matching({ app: 'web' }) };
  const ofEvenNamespaces = { namespaceSelector: without('odd') };
  const evenPods = { namespaceSelector: matching(), podSelector: without('odd') };

  /** Each is applied after the previous ones. */
  const CHANGES: readonly (readonly [string, readonly ClusterChange[]])[] = [
    ['a selector of a third of all pods', set(ingressPolicy('allow', [allow([web])]))],
    [
      'a selector of all namespaces, by a label that they lack',
      set(ingressPolicy('allow', [allow([ofEvenNamespaces])])),
    ],
    ['a selector of all pods, by a label that they lack', set(ingressPolicy('allow', [allow([evenPods])]))],
    [
      'other labels of all namespaces',
      set(ingressPolicy('too', [allow([ofEvenNamespaces])]), ...peers.map((_, i) => namespace(`ns-${i >> 1}`))),
    ],
    ['no selectors any more', remove(ingressPolicy('allow', []), ingressPolicy('too', []))],
  ];
  /** Without slack, so that what is out of use is removed at once. */
  const compilerOfCluster = () => {
    const compiler = new PolicyCompiler(NODE.name, { slack: { peers: -1, portSets: 0 } });
    compiler.apply(set(...cluster));
    return compiler;
  };
  const allowed = (table: RuleTable) =>
    peers.filter(({ addresses: [source = ''] }) => {
      const flow = { source, destination: SERVER, protocol: 6, port: 80 };
      return judgeSides(table, flow).ingress.allowed;
    });

  test('has the same result in pieces as at once, and leaves the previous table unchanged meanwhile', () => {
    const [piecemeal, atOnce] = [compilerOfCluster(), compilerOfCluster()];
    let before = piecemeal.compile().table;
    atOnce.compile();
    for (const [name, changes] of CHANGES) {
      const allowedBefore = allowed(before);
      piecemeal.apply(changes);
      let stops = 0;
      for (const _ of piecemeal.settleInPieces()) {
        stops++;
        expect(piecemeal.counts().steeredEndpoints, name).toBe(1);
        if (stops === 2) expect(allowed(before), name).toEqual(allowedBefore);
      }
      expect(stops, name).toBeGreaterThan(1);
      atOnce.apply(changes);
      before = piecemeal.compile().table;
      expect(allowed(before), name).toEqual(allowed(atOnce.compile().table));
      expect(allowed(before), name).not.toEqual(allowedBefore);
    }
  });
});

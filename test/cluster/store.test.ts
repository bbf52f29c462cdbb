import { describe, expect, it } from 'vitest';
import type { ClusterRecord, NamespaceRecord, PodRecord, PolicyRecord } from '../../src/cluster/records.ts';
import { type ClusterChange, ClusterStore } from '../../src/cluster/store.ts';

const namespace = (name: string, labels: Record<string, string> = {}): NamespaceRecord => ({
  kind: 'Namespace',
  name,
  labels,
});
const pod = (name: string, changed: Partial<PodRecord> = {}): PodRecord => ({
  kind: 'Pod',
  namespace: 'default',
  name,
  labels: { app: name },
  addresses: ['10.0.0.1'],
  hostNetwork: false,
  ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  ...changed,
});
const policy = (name: string): PolicyRecord => ({
  kind: 'NetworkPolicy',
  namespace: 'default',
  name,
  podSelector: { matchLabels: {}, matchExpressions: [] },
  isolates: ['ingress'],
  ingress: [],
  egress: [],
});
const set = (record: ClusterRecord): ClusterChange => ({ type: 'set', record });
const remove = (record: ClusterRecord): ClusterChange => ({ type: 'delete', record });

describe('apply', () => {
  it('returns a new record, and nothing when the same one comes again', () => {
    const store = new ClusterStore();
    expect(store.apply([set(pod('a'))])).toEqual([set(pod('a'))]);
    expect(store.apply([set(pod('a'))])).toEqual([]);
  });

  it('does not take a different order of labels for a change', () => {
    const store = new ClusterStore();
    store.apply([set(pod('a', { labels: { x: '1', y: '2' } }))]);
    expect(store.apply([set(pod('a', { labels: { y: '2', x: '1' } }))])).toEqual([]);
  });

  it.each<[string, PodRecord]>([
    ['a label', pod('a', { labels: { app: 'b' } })],
    ['one label more', pod('a', { labels: { app: 'a', x: '' } })],
    ['a key instead of another', pod('a', { labels: { b: 'a' } })],
    ['an address', pod('a', { addresses: ['10.0.0.2'] })],
    ['the order of addresses', pod('a', { addresses: ['10.0.0.1', '10.0.0.2'] })],
    ['a port', pod('a', { ports: [{ name: 'http', port: 81, protocol: 'TCP' }] })],
    ['the node', pod('a', { nodeName: 'n' })],
  ])('returns a change of %s', (_, changed) => {
    const store = new ClusterStore();
    store.apply([set(pod('a', { addresses: ['10.0.0.1'] }))]);
    expect(store.apply([set(changed)])).toEqual([set(changed)]);
    expect(store.snapshot().pods).toEqual([changed]);
  });

  it('returns a delete with the last known record', () => {
    const store = new ClusterStore();
    store.apply([set(pod('a', { addresses: ['10.9.9.9'] }))]);
    expect(store.apply([remove(pod('a'))])).toEqual([remove(pod('a', { addresses: ['10.9.9.9'] }))]);
    expect(store.apply([remove(pod('a'))])).toEqual([]);
  });

  it('puts deletes before sets, because an address may change hands in one batch', () => {
    const store = new ClusterStore();
    store.apply([set(pod('old'))]);
    expect(store.apply([set(pod('new')), remove(pod('old'))])).toEqual([remove(pod('old')), set(pod('new'))]);
  });

  it.each<[string, ClusterChange[], ClusterChange[]]>([
    ['set, then deleted', [set(pod('b')), remove(pod('b'))], []],
    ['deleted, then set as it was', [remove(pod('a')), set(pod('a'))], []],
    [
      'set twice',
      [set(pod('a', { labels: {} })), set(pod('a', { labels: { z: '' } }))],
      [set(pod('a', { labels: { z: '' } }))],
    ],
    ['changed and back', [set(pod('a', { labels: {} })), set(pod('a'))], []],
    ['changed, then deleted', [set(pod('a', { labels: {} })), remove(pod('a'))], [remove(pod('a'))]],
  ])('returns the net difference of a record that is %s', (_, changes, expected) => {
    const store = new ClusterStore();
    store.apply([set(pod('a'))]);
    expect(store.apply(changes)).toEqual(expected);
  });

  it('keeps kinds with the same name apart', () => {
    const store = new ClusterStore();
    store.apply([set(pod('x')), set(policy('x')), set(namespace('default/x'))]);
    expect(store.apply([remove(policy('x'))])).toEqual([remove(policy('x'))]);
    expect(store.snapshot()).toEqual({ namespaces: [namespace('default/x')], pods: [pod('x')], policies: [] });
  });
});

describe('replace', () => {
  it('returns only what differs from the known records, deletes first', () => {
    const store = new ClusterStore();
    store.apply([set(namespace('default')), set(pod('stays')), set(pod('goes')), set(policy('goes'))]);
    const changes = store.replace({
      namespaces: [namespace('default')],
      pods: [pod('stays'), pod('comes')],
      policies: [policy('comes')],
    });
    expect(changes.map(({ type, record }) => `${type} ${record.kind} ${record.name}`)).toEqual([
      'delete NetworkPolicy goes',
      'delete Pod goes',
      'set Pod comes',
      'set NetworkPolicy comes',
    ]);
    expect(store.snapshot().pods).toEqual([pod('stays'), pod('comes')]);
  });

  it('by the same snapshot changes nothing and keeps the objects', () => {
    const store = new ClusterStore();
    const first = pod('a');
    store.apply([set(first)]);
    expect(store.replace({ namespaces: [], pods: [pod('a')], policies: [] })).toEqual([]);
    expect(store.snapshot().pods[0]).toBe(first);
  });
});

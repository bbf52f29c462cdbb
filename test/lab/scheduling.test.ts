import { describe, expect, test } from 'vitest';
import { labNodes, nodeNames, Scheduler } from '../../src/lab/scheduling.ts';
import { pod } from './cluster.ts';

const on = (nodeName: string, key = 'a/x') => ({ ...pod(key, ['10.0.0.1']), nodeName });

describe('node names', () => {
  test('are those that pods name, then numbers, up to the wanted count', () => {
    const pods = [on('worker'), on('node-1'), on('worker'), pod('a/y', [])];
    expect(nodeNames(pods, undefined)).toEqual(['worker', 'node-1']);
    expect(nodeNames(pods, 4)).toEqual(['worker', 'node-1', 'node-2', 'node-3']);
    expect(nodeNames(pods, 1)).toEqual(['worker']);
    expect(nodeNames([], undefined)).toEqual(['node-1']);
    expect(nodeNames(pods, ['mine'])).toEqual(['mine']);
  });
});

describe('node addresses', () => {
  test('are of the families in use, and collide with no other address', () => {
    expect(labNodes(['a', 'b'], [], new Set(['10.0.0.1', '172.18.0.3']))).toEqual([
      { name: 'a', addresses: ['172.18.0.2'] },
      { name: 'b', addresses: ['172.18.0.4'] },
    ]);
    expect(labNodes(['a'], [], new Set(['fd00::1', '10.0.0.1']))).toEqual([
      { name: 'a', addresses: ['fd00:172:18::2', '172.18.0.2'] },
    ]);
  });

  test('are those of a hostNetwork pod that names its node, if it has addresses', () => {
    const host = { ...on('b'), hostNetwork: true, addresses: ['192.168.1.7'] };
    expect(labNodes(['a', 'b'], [host], new Set(['10.0.0.1'])).map(({ addresses }) => addresses)).toEqual([
      ['172.18.0.2'],
      ['192.168.1.7'],
    ]);
  });
});

describe('the scheduler', () => {
  const nodes = labNodes(['left', 'right'], [], new Set(['10.0.0.1']));
  const place = (scheduler: Scheduler, ...pods: Parameters<Scheduler['place']>[0][]) =>
    pods.map((each) => scheduler.place(each).nodeName);

  test('respects spec.nodeName and spreads the others', () => {
    const scheduler = new Scheduler(nodes);
    expect(place(scheduler, on('right', 'a/1'), pod('a/2', []), pod('a/3', []), pod('a/4', []))).toEqual([
      'right',
      'left',
      'right',
      'left',
    ]);
  });

  test('keeps pods together that name the same unknown node', () => {
    const scheduler = new Scheduler(nodes);
    expect(place(scheduler, on('x', 'a/1'), on('y', 'a/2'), on('x', 'a/3'), on('z', 'a/4'))).toEqual([
      'left',
      'right',
      'left',
      'left',
    ]);
  });

  test('leaves a known pod on its node', () => {
    const scheduler = new Scheduler(nodes);
    expect(place(scheduler, pod('a/1', []), pod('a/2', []), { ...pod('a/2', []), labels: {} })).toEqual([
      'left',
      'right',
      'right',
    ]);
  });

  test('gives hostNetwork pods the addresses of their node, and puts pods with the same port on different nodes', () => {
    const scheduler = new Scheduler(nodes);
    const host = (key: string) => ({ ...pod(key, [], 'TCP 80'), hostNetwork: true });
    expect(scheduler.place(host('a/1'))).toMatchObject({ nodeName: 'left', addresses: ['172.18.0.2'] });
    expect(place(scheduler, pod('a/2', []), host('a/3'))).toEqual(['right', 'right']);
  });
});

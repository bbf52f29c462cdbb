import { expect, test } from 'vitest';
import { servicePorts } from '../../src/cluster/service-ports.ts';
import { allProbes } from '../../src/lab/probes.ts';
import { pod, service } from './cluster.ts';

const nodes = [
  { name: 'left', addresses: ['172.18.0.2'] },
  { name: 'right', addresses: ['172.18.0.3'] },
];
const on = (nodeName: string, record: ReturnType<typeof pod>) => ({ ...record, nodeName });
const a = on('left', pod('x/a', ['10.0.0.1'], 'TCP 80'));
const b = on('left', pod('x/b', ['10.0.0.2'], 'TCP 80'));
const far = on('right', pod('x/far', ['10.0.0.3'], 'TCP 80'));
const host = { ...on('left', pod('x/host', ['172.18.0.2'], 'TCP 9100')), hostNetwork: true };
const pods = [a, b, far, host];
const externals = [{ name: 'outsider', addresses: ['203.0.113.9'] }];
const services = servicePorts(
  [
    service('x/far', ['10.96.0.1'], { app: 'far' }, 'TCP 8080 80 30080'),
    service('x/a', ['10.96.0.2'], { app: 'a' }, 'TCP 8080 80 30081'),
    service('x/host', ['10.96.0.3'], { app: 'host' }, 'TCP 8080 9100 30082'),
  ],
  pods,
);
const probes = allProbes({ nodes, pods, externals, services });

/** Returns the nodes that forward, and the source address that each sees. */
function way(from: string, to: string, address?: string): string[] {
  const found = probes.filter(
    (probe) => probe.from === from && probe.to === to && (address ?? probe.address) === probe.address,
  );
  expect(found).toHaveLength(1);
  return found.flatMap(({ hops }) => hops.map(({ node, source }) => `${node} ${source}`));
}

test('a packet between pods is forwarded by the node of each, once if that is the same', () => {
  expect(way('x/a', 'x/b')).toEqual(['left 10.0.0.1']);
  expect(way('x/a', 'x/far')).toEqual(['left 10.0.0.1', 'right 10.0.0.1']);
});

test('from outside only the pod’s node forwards', () => {
  expect(way('outsider', 'x/far')).toEqual(['right 203.0.113.9']);
});

test('a node does not forward what it sends or receives itself', () => {
  expect(way('x/host', 'x/a')).toEqual([]);
  expect(way('x/host', 'x/far')).toEqual(['right 172.18.0.2']);
  expect(way('x/a', 'x/host')).toEqual([]);
  expect(way('x/far', 'x/host')).toEqual(['right 10.0.0.3']);
  expect(way('outsider', 'x/host')).toEqual([]);
});

test('a Service is translated before it is forwarded', () => {
  expect(way('x/a', 'service/x/far')).toEqual(['left 10.0.0.1', 'right 10.0.0.1']);
  expect(way('x/a', 'service/x/a')).toEqual(['left 10.0.0.1']);
  expect(way('x/host', 'service/x/a')).toEqual([]);
});

test('behind a node port the pod’s node sees the address of the node that was asked', () => {
  expect(way('outsider', 'service/x/far', '172.18.0.2')).toEqual(['left 203.0.113.9', 'right 172.18.0.2']);
  expect(way('outsider', 'service/x/far', '172.18.0.3')).toEqual(['right 203.0.113.9']);
  expect(way('outsider', 'service/x/host', '172.18.0.2')).toEqual([]);
  expect(way('outsider', 'service/x/host', '172.18.0.3')).toEqual(['right 203.0.113.9']);
});

test('a pod is not probed by itself, except through its Services', () => {
  const own = probes.filter(({ from, pod: to }) => from === to);
  expect(own.map(({ from, to }) => `${from} ${to}`)).toEqual([
    'x/a service/x/a',
    'x/far service/x/far',
    'x/host service/x/host',
  ]);
});

test('each backend of a Service has its own source ports, above those of ordinary programs', () => {
  const many = Array.from({ length: 9 }, (_, i) => ({
    ...on('left', pod(`x/${i}`, [`10.0.1.${i}`], 'TCP 80')),
    labels: { app: 'many' },
  }));
  const ports = servicePorts([service('x/many', ['10.96.0.9'], { app: 'many' }, 'TCP 80')], many);
  const through = allProbes({ nodes, pods: many, externals: [], services: ports }).filter(
    ({ from, via }) => from === 'x/0' && via === 'cluster-ip',
  );
  expect(through.map(({ pod: backend }) => backend)).toEqual(['x/0', 'x/1', 'x/2', 'x/3', 'x/4', 'x/5', 'x/6', 'x/7']);
  const ranges = through.map(({ sourcePorts: { first, count } }) => [first, first + count - 1] as const);
  for (const [i, [first, last]] of ranges.entries()) {
    expect(first).toBeGreaterThan(ranges[i - 1]?.[1] ?? 60_999);
    expect(last).toBeLessThanOrEqual(65_535);
  }
});

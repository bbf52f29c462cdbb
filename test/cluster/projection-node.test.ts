import { expect, it } from 'vitest';
import { formatPath } from '../../src/cluster/field.ts';
import { projectNode } from '../../src/cluster/projection-node.ts';

const METADATA = { name: 'a', labels: { zone: 'west' } };

it('keeps ranges, addresses and labels, in canonical text', () => {
  const { record, problems } = projectNode({
    metadata: METADATA,
    spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.7/24', 'FD00:0::/64', '10.244.1.0/024'], taints: [{}] },
    status: {
      addresses: [
        { type: 'InternalIP', address: '192.168.0.010' },
        { type: 'ExternalIP', address: '2001:DB8::0:1' },
        { type: 'Hostname', address: 'a' },
        { type: 'InternalDNS', address: '10.0.0.1' },
      ],
    },
  });
  expect(problems).toEqual([]);
  expect(record).toEqual({
    kind: 'Node',
    name: 'a',
    labels: { zone: 'west' },
    podRanges: ['10.244.1.0/24', 'fd00::/64'],
    addresses: ['192.168.0.10', '2001:db8::1'],
  });
});

it('takes the single range of an older API', () => {
  expect(projectNode({ metadata: METADATA, spec: { podCIDR: '10.244.1.0/24' } }).record?.podRanges).toEqual([
    '10.244.1.0/24',
  ]);
});

it('takes a node without ranges and addresses', () => {
  for (const rest of [{}, { spec: null, status: null }, { spec: { podCIDR: '' } }]) {
    const { record, problems } = projectNode({ metadata: METADATA, ...rest });
    expect(problems).toEqual([]);
    expect(record).toMatchObject({ podRanges: [], addresses: [] });
  }
});

it('reports what it cannot read, and keeps the rest', () => {
  const { record, problems } = projectNode({
    metadata: METADATA,
    spec: { podCIDRs: ['10.244.1.0', '10.244.2.0/24', 7, '10.244.3.0/33'] },
    status: { addresses: [{ type: 'InternalIP', address: 'here' }, 'nonsense', { type: 'InternalIP' }] },
  });
  expect(record).toMatchObject({ podRanges: ['10.244.2.0/24'], addresses: [] });
  expect(problems.map(({ path, message }) => `${formatPath(path)}: ${message}`)).toEqual([
    'spec.podCIDRs[0]: "10.244.1.0" is not a CIDR block',
    expect.stringMatching(/^spec\.podCIDRs\[2\]: /),
    'spec.podCIDRs[3]: "10.244.3.0/33" is not a CIDR block',
    expect.stringMatching(/^status\.addresses\[1\]: /),
    'status.addresses[0].address: "here" is not an IP address',
  ]);
});

it('makes no record of an object without a name, and throws at nothing', () => {
  for (const object of [undefined, null, 7, 'text', [], {}, { metadata: {} }])
    expect(projectNode(object).record).toBeUndefined();
});

import { describe, expect, it } from 'vitest';
import { formatPath } from '../../src/cluster/field.ts';
import { projectNamespace, projectPod } from '../../src/cluster/projection.ts';

const pod = (spec: unknown, status?: unknown) => ({
  metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
  spec,
  status,
});

/** Returns the record of a pod that must have no problems. */
function read(spec: unknown, status?: unknown) {
  const { record, problems } = projectPod(pod(spec, status));
  expect(problems).toEqual([]);
  return record;
}

describe('projectPod', () => {
  it('reads the hash of its manifest as the uid of a static pod: the runtime knows it by that', () => {
    const annotations = { 'kubernetes.io/config.mirror': 'abc', 'kubernetes.io/config.hash': 'abc' };
    const mirror = { ...pod({}), metadata: { ...pod({}).metadata, uid: 'of-the-mirror', annotations } };
    expect(projectPod(mirror).record?.uid).toBe('abc');
    const other = { ...pod({}), metadata: { ...pod({}).metadata, uid: 'its-own', annotations: {} } };
    expect(projectPod(other).record?.uid).toBe('its-own');
  });

  it('reads since when a pod with an address has been on its node', () => {
    const startTime = '2026-11-30T03:04:05Z';
    const started = (status: object) => read({ containers: [] }, { phase: 'Running', ...status })?.startedAt;
    expect(started({ startTime, podIP: '10.0.0.1' })).toBe(Date.parse(startTime) / 1000);
    expect(read({ containers: [] }, { startTime })).not.toHaveProperty('startedAt');
    for (const other of [undefined, 'yesterday', 7])
      expect(started({ startTime: other, podIP: '10.0.0.1' })).toBeUndefined();
  });

  it('reads a pod’s identity, age, owner and state', () => {
    const metadata = {
      ...{ name: 'web', namespace: 'shop', uid: '1c1f', creationTimestamp: '2026-11-30T03:04:05Z' },
      deletionTimestamp: '2026-11-30T04:00:00Z',
      ownerReferences: [
        { kind: 'Node', name: 'n1', controller: false },
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d', controller: true, uid: 'x' },
      ],
    };
    const status = { phase: 'Running', reason: 'NodeLost' };
    expect(projectPod({ metadata, spec: {}, status }).record).toMatchObject({
      ...{ uid: '1c1f', created: Date.parse('2026-11-30T03:04:05Z') / 1000, phase: 'Running' },
      ...{ deleting: true, lost: true, controller: { kind: 'ReplicaSet', name: 'web-5d' } },
    });
  });

  it.each<[string, object, object]>([
    ['the phase Unknown is that of a lost node', { status: { phase: 'Unknown' } }, { phase: 'Unknown', lost: true }],
    ['an unknown phase is ignored', { status: { phase: 'Resting' } }, {}],
    [
      'nonsense is nothing',
      { metadata: { uid: 7, creationTimestamp: 'once', ownerReferences: 'me' }, status: { reason: 7 } },
      {},
    ],
    ['owners that are no objects own nothing', { metadata: { ownerReferences: [null, 7, { controller: true }] } }, {}],
  ])('%s', (_, { metadata, ...object }: { metadata?: object; status?: object }, expected) => {
    const { record } = projectPod({ metadata: { name: 'web', namespace: 'shop', ...metadata }, spec: {}, ...object });
    const { uid, created, deleting, phase, lost, controller } = record ?? {};
    const read = Object.entries({ uid, created, deleting, phase, lost, controller }).filter(
      ([, value]) => value !== undefined,
    );
    expect(Object.fromEntries(read)).toEqual(expected);
  });

  it('reads only what decides packets', () => {
    const containers = [
      {
        name: 'c',
        image: 'x',
        ports: [
          { containerPort: 80, name: 'http' },
          { containerPort: 53, protocol: 'UDP', hostPort: 53 },
        ],
      },
      { name: 'd' },
    ];
    expect(read({ nodeName: 'n1', containers, volumes: [] }, { phase: 'Running', podIP: '10.0.0.1' })).toEqual({
      kind: 'Pod',
      namespace: 'shop',
      name: 'web',
      phase: 'Running',
      labels: { app: 'web' },
      nodeName: 'n1',
      addresses: ['10.0.0.1'],
      hostNetwork: false,
      ports: [
        { name: 'http', port: 80, protocol: 'TCP' },
        { port: 53, protocol: 'UDP' },
      ],
    });
  });

  it.each<[string, unknown, string[]]>([
    ['none', undefined, []],
    ['podIP', { podIP: '10.0.0.1' }, ['10.0.0.1']],
    [
      'podIPs in front of podIP',
      { podIP: '10.0.0.9', podIPs: [{ ip: '10.0.0.1' }, { ip: 'FD00::0:1' }] },
      ['10.0.0.1', 'fd00::1'],
    ],
    ['an empty podIP', { podIP: '' }, []],
    ['one address in two spellings', { podIPs: [{ ip: 'fd00::1' }, { ip: 'fd00:0::1' }] }, ['fd00::1']],
    ['a pod that succeeded', { phase: 'Succeeded', podIP: '10.0.0.1' }, []],
    ['a pod that failed', { phase: 'Failed', podIP: '10.0.0.1' }, []],
    ['a pending pod', { phase: 'Pending' }, []],
  ])('addresses: %s', (_, status, addresses) => {
    expect(read({}, status)?.addresses).toEqual(addresses);
  });

  it('reads the ports of init containers that keep running, and of no other init containers', () => {
    const initContainers = [
      { name: 'sidecar', restartPolicy: 'Always', ports: [{ containerPort: 9090 }] },
      { name: 'setup', ports: [{ containerPort: 1 }] },
    ];
    expect(read({ initContainers })?.ports).toEqual([{ port: 9090, protocol: 'TCP' }]);
  });

  it('recognizes pods in the network of their node', () => {
    expect(read({ hostNetwork: true })?.hostNetwork).toBe(true);
  });

  it('reads addresses as the API server does: leading zeros are decimal, IPv4-mapped ones IPv4', () => {
    const podIPs = [{ ip: '10.1.0.010' }, { ip: '::ffff:10.1.0.4' }, { ip: 'FD00::00001' }];
    const { record, problems } = projectPod(pod({}, { podIPs }));
    expect(problems).toEqual([]);
    expect(record?.addresses).toEqual(['10.1.0.10', '10.1.0.4', 'fd00::1']);
  });

  it('is in the given default namespace if it names none, and on no node before it is scheduled', () => {
    const { record } = projectPod({ metadata: { name: 'a', namespace: '' }, spec: { nodeName: '' } }, 'mine');
    expect(record).toMatchObject({ namespace: 'mine' });
    expect(record).not.toHaveProperty('nodeName');
  });

  it.each<[unknown, string, unknown]>([
    [pod({}, { podIP: '10.0.0.256' }), 'status.podIP: "10.0.0.256" is not an IP address', { addresses: [] }],
    [
      pod({}, { podIPs: [{ ip: '10.0.0.1' }, { ip: 'x' }] }),
      'status.podIPs[1].ip: "x" is not an IP address',
      { addresses: ['10.0.0.1'] },
    ],
    [
      pod({}, { podIPs: ['10.0.0.1'] }),
      'status.podIPs[0]: expected a map, found the text "10.0.0.1"',
      { addresses: [] },
    ],
    [
      pod({ containers: [{ ports: [{ containerPort: '80' }, { containerPort: 81 }] }] }),
      'spec.containers[0].ports[0].containerPort: expected a port number, found the text "80" | Did you mean 80, without quotes?',
      { ports: [{ port: 81, protocol: 'TCP' }] },
    ],
    [
      pod({ containers: [{ ports: [{ name: 'x' }] }] }),
      'spec.containers[0].ports[0].containerPort: the container port has no number',
      { ports: [] },
    ],
    [
      pod({ containers: [{ ports: [{ containerPort: 80, protocol: 'http' }] }] }),
      'spec.containers[0].ports[0].protocol: "http" is not a protocol; protocols are TCP, UDP, SCTP',
      { ports: [] },
    ],
    [
      pod({ containers: [{ ports: [{ containerPort: 80, name: 'WEB' }] }] }),
      `spec.containers[0].ports[0].name: "WEB" is not a port name; names have up to 15 lower case letters, digits and '-', one letter at least | Did you mean web?`,
      { ports: [{ port: 80, protocol: 'TCP' }] },
    ],
    [
      pod({ containers: { name: 'c' } }),
      'spec.containers: expected a list, found a map | Put `- ` in front of each element.',
      { ports: [] },
    ],
    [
      pod({ hostNetwork: 'true' }),
      'spec.hostNetwork: expected true or false, found the text "true" | Did you mean true, without quotes?',
      { hostNetwork: false },
    ],
    [pod([]), 'spec: expected a map, found a list | Remove the `- ` in front of it.', { ports: [] }],
    [
      { metadata: { name: 'web', labels: { a: true, b: 'x' } } },
      'metadata.labels.a: expected a text, found the boolean true | Write it in quotes.',
      { labels: { a: 'true', b: 'x' } },
    ],
    [
      { metadata: { name: 'web', label: { a: 'b' } } },
      'metadata.label: unknown field "label" | Did you mean labels?',
      { labels: {} },
    ],
  ])('%j', (object, expected, kept) => {
    const { record, problems } = projectPod(object);
    expect(
      problems.map(({ path, message, hint }) => `${formatPath(path)}: ${message}${hint ? ` | ${hint}` : ''}`),
    ).toEqual([expected]);
    for (const [field, value] of Object.entries(kept as object)) expect(record).toHaveProperty(field, value);
  });

  it.each([
    [{}],
    [null],
    ['pod'],
    [[]],
    [{ metadata: [] }],
    [{ metadata: { name: '' } }],
    [{ metadata: { name: '../x' } }],
    [{ metadata: { name: {} } }],
  ])('returns no record for %j, which has no valid name', (object) => {
    const { record, problems } = projectPod(object);
    expect(record).toBeUndefined();
    expect(problems.length).toBeGreaterThan(0);
  });

  it('drops a label key that would change the prototype of a map', () => {
    const object = JSON.parse('{"metadata":{"name":"a","labels":{"__proto__":"x","constructor":"y"}}}');
    const { record } = projectPod(object);
    expect(Object.keys(record?.labels ?? {})).toContain('constructor');
    expect(Object.getPrototypeOf(record?.labels)).toBe(Object.prototype);
  });
});

describe('projectNamespace', () => {
  it('adds the label that every namespace has', () => {
    expect(projectNamespace({ metadata: { name: 'shop', labels: { team: 'a' } } })).toEqual({
      record: { kind: 'Namespace', name: 'shop', labels: { team: 'a', 'kubernetes.io/metadata.name': 'shop' } },
      problems: [],
    });
  });

  it('does not let a manifest change that label', () => {
    const labels = { 'kubernetes.io/metadata.name': 'other' };
    expect(projectNamespace({ metadata: { name: 'shop', labels } }).record?.labels).toEqual({
      'kubernetes.io/metadata.name': 'shop',
    });
  });

  it('returns no record for one without a name', () => {
    expect(projectNamespace({ metadata: {} })).toEqual({
      record: undefined,
      problems: [{ path: ['metadata', 'name'], message: 'the object has no name' }],
    });
  });
});

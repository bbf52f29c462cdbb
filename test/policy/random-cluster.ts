/**
 * Random clusters for fast-check, with few names, labels, ports and addresses, so that selectors,
 * ranges and blocks overlap all the time.
 */
import fc from 'fast-check';
import type {
  ContainerPort,
  IpBlock,
  LabelSelector,
  Labels,
  NamespaceRecord,
  PodRecord,
  PolicyMode,
  PolicyPeer,
  PolicyPort,
  PolicyRecord,
  PolicyRule,
  Protocol,
  SelectorRequirement,
} from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';

export const NODE = { name: 'here', addresses: ['10.9.0.1', 'fd09::1'] };

const NAMESPACES = ['a', 'b', 'c'];
const POD_NAMES = ['p0', 'p1', 'p2', 'p3'];
const KEYS = ['app', 'tier'];
const VALUES = ['x', 'y', ''];
const PORTS = [1, 53, 80, 81, 8080, 65_535];
const PORT_NAMES = ['http', 'dns'];
const PROTOCOLS: Protocol[] = ['TCP', 'UDP', 'SCTP'];
/** Sets of addresses that a pod can have. They do not overlap. */
const ADDRESS_SETS: readonly (readonly string[])[] = [
  ...[1, 2, 3, 4, 5, 6].map((i) => [`10.0.0.${i}`]),
  ['10.1.0.1', 'fd00::1'],
  ['10.1.255.255', 'fd00:1::ffff'],
  ['fd00::2'],
  ['fd00:0:0:1::2'],
];
const OUTSIDE = [
  '0.0.0.0',
  '255.255.255.255',
  '127.255.255.255',
  '128.0.0.0',
  '192.0.2.1',
  '192.0.2.200',
  '::',
  '2001:db8::1',
];
const CIDRS4 = [
  '0.0.0.0/0',
  '0.0.0.0/1',
  '10.0.0.0/8',
  '10.0.0.7/29',
  '10.0.0.4/30',
  '10.0.0.5/32',
  '10.1.0.0/16',
  '10.1.255.255/32',
  '192.0.2.0/24',
  '192.0.2.128/25',
  '255.255.255.255/32',
];
const CIDRS6 = [
  '::/0',
  '8000::/1',
  'fd00::/8',
  'fd00::/32',
  'fd00::/63',
  'fd00::/64',
  'fd00::1/128',
  '2001:db8::/33',
  '::/128',
];

export const ADDRESSES: readonly string[] = [...ADDRESS_SETS.flat(), ...OUTSIDE, ...NODE.addresses];

const of = <T>(values: readonly T[]) => fc.constantFrom(...values);

const labels: fc.Arbitrary<Labels> = fc.dictionary(of(KEYS), of(VALUES), { maxKeys: 2, noNullPrototype: true });

const requirement: fc.Arbitrary<SelectorRequirement> = fc.oneof(
  fc.record({
    key: of(KEYS),
    operator: of(['In', 'NotIn'] as const),
    values: fc.uniqueArray(of(VALUES), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ key: of(KEYS), operator: of(['Exists', 'DoesNotExist'] as const), values: fc.constant([]) }),
);

const selector: fc.Arbitrary<LabelSelector> = fc.record({
  matchLabels: fc.dictionary(of(KEYS), of(VALUES), { maxKeys: 1, noNullPrototype: true }),
  matchExpressions: fc.array(requirement, { maxLength: 1 }),
});

const namespaceSelector: fc.Arbitrary<LabelSelector> = fc.oneof(
  selector,
  of(NAMESPACES).map((name) => ({ matchLabels: { 'kubernetes.io/metadata.name': name }, matchExpressions: [] })),
);

function blockOf(cidrs: readonly string[]): fc.Arbitrary<IpBlock> {
  return fc.record({ cidr: of(cidrs), except: fc.array(of(cidrs), { maxLength: 3 }) });
}

const peer: fc.Arbitrary<PolicyPeer> = fc.oneof(
  selector.map((podSelector) => ({ podSelector })),
  namespaceSelector.map((each) => ({ namespaceSelector: each })),
  fc.record({ podSelector: selector, namespaceSelector }),
  fc.oneof(blockOf(CIDRS4), blockOf(CIDRS6)).map((ipBlock) => ({ ipBlock })),
);

const port: fc.Arbitrary<PolicyPort> = fc.oneof(
  of(PROTOCOLS).map((protocol) => ({ protocol })),
  fc.record({ protocol: of(PROTOCOLS), port: fc.oneof(of<number | string>(PORTS), of(PORT_NAMES)) }),
  fc
    .record({ protocol: of(PROTOCOLS), ends: fc.tuple(of(PORTS), of(PORTS)) })
    .map(({ protocol, ends: [a, b] }) => ({ protocol, port: Math.min(a, b), endPort: Math.max(a, b) })),
);

const rule: fc.Arbitrary<PolicyRule> = fc.record({
  peers: fc.array(peer, { maxLength: 3 }),
  ports: fc.array(port, { maxLength: 3 }),
});

const namespace: fc.Arbitrary<NamespaceRecord> = fc
  .record({ name: of(NAMESPACES), labels })
  .map(({ name, labels }) => ({ kind: 'Namespace', name, labels: { ...labels, 'kubernetes.io/metadata.name': name } }));

const containerPort: fc.Arbitrary<ContainerPort> = fc
  .record({ name: fc.option(of(PORT_NAMES), { nil: undefined }), port: of(PORTS), protocol: of(PROTOCOLS) })
  .map(({ name, port, protocol }) => (name === undefined ? { port, protocol } : { name, port, protocol }));

const pod: fc.Arbitrary<PodRecord> = fc
  .record({
    namespace: of(NAMESPACES),
    name: of(POD_NAMES),
    labels,
    nodeName: of(['here', 'here', 'there', undefined]),
    addresses: fc.oneof({ weight: 6, arbitrary: of(ADDRESS_SETS) }, fc.constant([])),
    hostNetwork: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    ports: fc.array(containerPort, { maxLength: 3 }),
    created: of([undefined, 1, 2]),
    standing: of(['live', 'live', 'live', 'unready', 'deleting', 'lost', 'both']),
  })
  .map(({ nodeName, created, standing, ...rest }) => ({
    kind: 'Pod',
    ...rest,
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(created === undefined ? {} : { created }),
    ...(standing === 'unready' ? { unready: true } : {}),
    ...(standing === 'deleting' || standing === 'both' ? { deleting: true } : {}),
    ...(standing === 'lost' || standing === 'both' ? { lost: true } : {}),
  }));

const policy: fc.Arbitrary<PolicyRecord> = fc
  .record({
    namespace: of(NAMESPACES),
    name: of(['n0', 'n1', 'n2']),
    podSelector: fc.oneof(selector, fc.constant({ matchLabels: {}, matchExpressions: [] })),
    isolates: fc.subarray(['ingress', 'egress'] as const),
    ingress: fc.array(rule, { maxLength: 3 }),
    egress: fc.array(rule, { maxLength: 3 }),
    error: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  })
  .map(({ error, ...rest }) => ({ kind: 'NetworkPolicy', ...rest, ...(error ? { error: 'unreadable' } : {}) }));

const change: fc.Arbitrary<ClusterChange> = fc.record({
  type: of(['set', 'set', 'set', 'delete'] as const),
  record: fc.oneof(
    { weight: 2, arbitrary: namespace },
    { weight: 5, arbitrary: pod },
    { weight: 3, arbitrary: policy },
  ),
});

/** Batches of changes to a cluster that is empty at first. */
export const history: fc.Arbitrary<ClusterChange[][]> = fc.array(fc.array(change, { minLength: 1, maxLength: 12 }), {
  minLength: 1,
  maxLength: 5,
});

/** Like `history`, but begins with a larger cluster. */
export const grownHistory: fc.Arbitrary<ClusterChange[][]> = fc
  .tuple(fc.array(change, { minLength: 25, maxLength: 40 }), history)
  .map(([first, later]) => [first, ...later]);

/** The same history, with random modes on its policies and namespaces. */
export function inModes(batches: fc.Arbitrary<ClusterChange[][]>): fc.Arbitrary<ClusterChange[][]> {
  const modes = fc.array(of<PolicyMode | undefined>(['audit', 'enforce', undefined]), { minLength: 7, maxLength: 7 });
  return fc.tuple(batches, modes).map(([history, picked]) => {
    let next = 0;
    return history.map((batch) =>
      batch.map(({ type, record }): ClusterChange => {
        const mode = picked[next++ % picked.length];
        return record.kind === 'Pod' || mode === undefined ? { type, record } : { type, record: { ...record, mode } };
      }),
    );
  });
}

/** The packets to try: protocol, and destination port or -1. */
export const PACKETS: readonly (readonly [protocol: number, port: number])[] = [
  ...[6, 17, 132].flatMap((protocol) => [...PORTS, -1, 79, 1000].map((port) => [protocol, port] as const)),
  [1, -1],
  [58, -1],
  [50, -1],
];

/**
 * Random objects of the Kubernetes API, as parsed JSON: valid ones, and ones with a wrong field or
 * two.
 */
import type { Random } from './random.ts';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const NAMES = ['web', 'db', 'a', 'shop', 'default'];
const NAMESPACES = ['default', 'shop', 'kube-system'];
/** The last ones are property names of every JavaScript object. */
const KEYS = ['app', 'tier', 'app.kubernetes.io/name', 'constructor', 'toString'];
const VALUES = ['x', 'y', 'web', '', 'a.b_c-d'];
const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'];
const PORTS: readonly Json[] = [80, 443, 53, 1, 65_535, 'http', 'dns'];
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'];
const CIDRS = [
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.2.3/32',
  '::/0',
  'fd00::/8',
  'fd00::1/128',
  '10.0.0.5/29',
];
const ADDRESSES = [
  '10.0.0.1',
  '10.0.0.2',
  '10.1.2.3',
  '10.1.2.4',
  'fd00::1',
  'fd00::2',
  '192.0.2.1',
  '::ffff:10.0.0.9',
];
const HOLES: Readonly<Record<string, readonly string[]>> = {
  '0.0.0.0/0': ['10.0.0.0/8', '10.1.0.0/16', '128.0.0.0/1'],
  '10.0.0.0/8': ['10.1.0.0/16', '10.1.2.3/32'],
  '10.1.0.0/16': ['10.1.2.0/24', '10.1.2.3/32'],
  '::/0': ['fd00::/8', 'fd00::1/128'],
  'fd00::/8': ['fd00::/64', 'fd00::2/128'],
};

/** Values of these fields that are wrong, or mean something other than they seem to. */
const ODD: Readonly<
  Record<'port' | 'protocol' | 'cidr' | 'address' | 'name' | 'key' | 'value' | 'operator', readonly Json[]>
> = {
  port: [0, -1, 65_536, 1.5, '80', '8080-8090', 'HTTP', '80/tcp', 'a'.repeat(16), '-', true],
  protocol: ['tcp', 'ICMP', 'TCP ', '', 6, null],
  cidr: [
    '10.0.0.0',
    '10.0.0.0/33',
    '10/8',
    '010.0.0.0/8',
    '10.0.0.0/08',
    '::ffff:10.0.0.0/104',
    '::/129',
    '10.0.0.0\u009b/8',
    '',
  ],
  address: ['010.0.0.1', '10.0.0', 'FD00::0:1', '::ffff:10.0.0.1', 'fe80::1%eth0', '', '0.0.0.0', '::', '10.0.0.1/32'],
  name: ['', 'Web', 'a_b', '-a', 'a'.repeat(254), 5, true, '\u0085', '../../etc', '__proto__'],
  key: ['', '/', 'a//b', 'a/', 'x y', '__proto__', '\u0085', 'a'.repeat(64), 'A.b/c'],
  value: ['x y', '-', 'a'.repeat(64), '\u009b31m', true, 1, null, '1.0'],
  operator: ['in', '=', 'notin', 'Gt', '', null, 1],
};
const ONE_ODD_IN = 40;

function pick(random: Random, kind: keyof typeof ODD, sound: readonly Json[]): Json {
  return random.oneIn(ONE_ODD_IN) ? random.pick(ODD[kind]) : random.pick(sound);
}

/** Values that no field expects. */
const STRANGE: readonly Json[] = [
  ...[null, true, false, 0, -1, 1.5, 1e308, 2 ** 53, 65_536, 2 ** 32, -0],
  ...[
    '',
    ' ',
    'x'.repeat(300),
    '80',
    'true',
    '10.0.0.010/32',
    '10.0.0.0/33',
    '::/129',
    'TCP ',
    'tcp',
    '*',
    '$(x)',
    '\u0000',
  ],
  ...['\u2028', '\ud800', '1e9999', '__proto__', '{{ .Values.port }}', '0x10', '1_000', '~', '2024-01-01T00:00:00Z'],
  ...[[], {}, [[]], [null], { a: null }],
];
const STRANGE_KEYS = [
  '__proto__',
  'constructor',
  '',
  'Spec',
  'matchLabel',
  'podselector',
  'from',
  'to',
  'ports',
  'items',
  'x y',
  '0',
];

export function objects(random: Random): Json[] {
  const list = Array.from({ length: random.between(1, 7) }, () => object(random));
  const changes = random.oneIn(3) ? 0 : random.between(1, 3);
  for (let i = 0; i < changes; i++) damage(random, list);
  return list;
}

function object(random: Random): Json {
  switch (random.below(8)) {
    case 0:
      return { apiVersion: 'v1', kind: 'Namespace', metadata: metadata(random) };
    case 1:
    case 2:
    case 3:
      return pod(random);
    default:
      return policy(random);
  }
}

function metadata(random: Random): Json {
  const mode = random.oneIn(10) && { annotations: { 'podfence.io/mode': random.pick(['audit', 'enforce', 'none']) } };
  return {
    name: pick(random, 'name', NAMES),
    ...(!random.oneIn(4) && { namespace: pick(random, 'name', NAMESPACES) }),
    ...(!random.oneIn(4) && { labels: labels(random) }),
    ...mode,
  };
}

function labels(random: Random): { [key: string]: Json } {
  return Object.fromEntries(random.some(3, () => [String(pick(random, 'key', KEYS)), pick(random, 'value', VALUES)]));
}

function pod(random: Random): Json {
  const ips = random.some(2, () => ({ ip: pick(random, 'address', ADDRESSES) }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: metadata(random),
    spec: {
      nodeName: random.pick(['here', 'here', 'there']),
      ...(random.oneIn(10) && { hostNetwork: true }),
      containers: random.some(2, () => ({
        name: 'main',
        ports: random.some(2, () => ({
          ...(random.oneIn(2) && { name: random.pick(['http', 'dns']) }),
          containerPort: pick(random, 'port', [80, 53, 8080]),
          ...(random.oneIn(2) && { protocol: pick(random, 'protocol', PROTOCOLS) }),
        })),
      })),
    },
    status: {
      phase: random.pick(['Running', 'Running', 'Pending', 'Succeeded']),
      ...(random.oneIn(2) ? { podIPs: ips } : { podIP: pick(random, 'address', ADDRESSES) }),
      ...(random.oneIn(3) && { startTime: '2024-01-01T00:00:00Z' }),
    },
  };
}

function policy(random: Random): Json {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metadata(random),
    spec: {
      podSelector: random.oneIn(3) ? {} : selector(random),
      ...(random.oneIn(2) && { policyTypes: random.pick([['Ingress'], ['Egress'], ['Ingress', 'Egress'], []]) }),
      ...(random.oneIn(2) && { ingress: random.some(3, () => rule(random, 'from')) }),
      ...(random.oneIn(2) && { egress: random.some(3, () => rule(random, 'to')) }),
    },
  };
}

function rule(random: Random, peers: 'from' | 'to'): Json {
  return {
    ...(!random.oneIn(4) && { [peers]: random.some(3, () => peer(random)) }),
    ...(random.oneIn(2) && { ports: random.some(3, () => port(random)) }),
  };
}

function peer(random: Random): Json {
  switch (random.below(4)) {
    case 0:
      return { podSelector: selector(random) };
    case 1:
      return { namespaceSelector: selector(random) };
    case 2:
      return { podSelector: selector(random), namespaceSelector: selector(random) };
    default: {
      const cidr = pick(random, 'cidr', CIDRS);
      const holes = HOLES[String(cidr)];
      return {
        ipBlock: {
          cidr,
          ...(holes && random.oneIn(2) && { except: random.some(3, () => pick(random, 'cidr', holes)) }),
        },
      };
    }
  }
}

function port(random: Random): Json {
  const first = pick(random, 'port', PORTS);
  const hasEnd = typeof first === 'number' && random.oneIn(3);
  return {
    ...(!random.oneIn(3) && { protocol: pick(random, 'protocol', PROTOCOLS) }),
    ...(!random.oneIn(5) && { port: first, ...(hasEnd && { endPort: pick(random, 'port', [first, 65_535]) }) }),
  };
}

function selector(random: Random): Json {
  return {
    ...(random.oneIn(2) && { matchLabels: labels(random) }),
    ...(random.oneIn(3) && { matchExpressions: random.some(2, () => requirement(random)) }),
  };
}

function requirement(random: Random): Json {
  const operator = pick(random, 'operator', OPERATORS);
  const values = String(operator).endsWith('In')
    ? { values: [random.pick(VALUES), ...random.some(2, () => pick(random, 'value', VALUES))] }
    : {};
  return { key: pick(random, 'key', KEYS), operator, ...values };
}

/** Changes one place somewhere in the value. */
function damage(random: Random, root: Json[]): void {
  let around: Json = root;
  let key: string | number = random.below(root.length);
  // Goes down to a random depth, usually deep.
  for (;;) {
    const value: Json = at(around, key);
    const keys = typeof value === 'object' && value !== null ? Object.keys(value) : [];
    if (keys.length === 0 || random.oneIn(6)) break;
    around = value;
    key = random.pick(keys);
  }
  const value = at(around, key);
  switch (random.below(7)) {
    case 0:
      remove(around, key);
      break;
    case 1:
      put(around, key, [value, value]);
      break;
    case 2:
      put(around, random.pick(STRANGE_KEYS), value);
      break;
    case 3:
      remove(around, key);
      put(around, random.oneIn(2) ? random.pick(STRANGE_KEYS) : misspelt(random, String(key)), value);
      break;
    case 4:
      put(around, key, nested(random));
      break;
    default:
      put(around, key, structuredClone(random.pick(STRANGE)));
  }
}

function at(around: Json, key: string | number): Json {
  return (around as Record<string | number, Json>)[key] ?? null;
}

/**
 * Sets a key as JSON.parse does: `__proto__` is a key like any other, and lists have only numbers.
 */
function put(around: Json, key: string | number, value: Json): void {
  if (Array.isArray(around) && !/^\d+$/.test(String(key))) {
    around.push(value);
    return;
  }
  Object.defineProperty(around, key, { value, enumerable: true, configurable: true, writable: true });
}

function remove(around: Json, key: string | number): void {
  if (Array.isArray(around)) around.splice(Number(key), 1);
  else if (around !== null && typeof around === 'object') delete around[key];
}

function misspelt(random: Random, key: string): string {
  const at = random.below(key.length + 1);
  return random.oneIn(2) ? key.slice(0, at) + key.slice(at + 1) : key.toLowerCase();
}

/** Returns lists and maps nested in one another. */
function nested(random: Random): Json {
  let value: Json = 1;
  for (let depth = random.oneIn(30) ? 2000 : random.pick([2, 5, 40]); depth > 0; depth--)
    value = random.oneIn(2) ? [value] : { podSelector: value };
  return value;
}

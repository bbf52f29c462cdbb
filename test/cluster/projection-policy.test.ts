import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatPath } from '../../src/cluster/field.ts';
import { projectPolicy } from '../../src/cluster/projection.ts';
import { type Prefix, prefixWords } from '../../src/policy/address-words.ts';

const policy = (spec: unknown) => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'p', namespace: 'shop' },
  spec,
});
const everyPod = { matchLabels: {}, matchExpressions: [] };
const ALLOW_ALL = { peers: [], ports: [] };

/** Returns the record of a spec that must have no problems. */
function read(spec: unknown) {
  const { record, problems } = projectPolicy(policy(spec));
  expect(problems).toEqual([]);
  expect(record.error).toBeUndefined();
  return record;
}

/** Returns the problems as `path: message | hint`. */
function problemsOf(spec: unknown): string[] {
  return projectPolicy(policy(spec)).problems.map(
    ({ path, message, hint }) => `${formatPath(path)}: ${message}${hint === undefined ? '' : ` | ${hint}`}`,
  );
}

describe('policyTypes', () => {
  it.each<[string, unknown, string[]]>([
    ['absent, no rules', { podSelector: {} }, ['ingress']],
    ['absent, ingress rules', { podSelector: {}, ingress: [{}] }, ['ingress']],
    ['absent, egress rules', { podSelector: {}, egress: [{}] }, ['ingress', 'egress']],
    ['absent, empty egress', { podSelector: {}, egress: [] }, ['ingress']],
    ['null', { podSelector: {}, policyTypes: null, egress: [{}] }, ['ingress', 'egress']],
    ['empty', { podSelector: {}, policyTypes: [] }, ['ingress']],
    [
      'Egress alone, in spite of ingress rules',
      { podSelector: {}, policyTypes: ['Egress'], ingress: [{}] },
      ['egress'],
    ],
    ['both, in any order', { podSelector: {}, policyTypes: ['Egress', 'Ingress'] }, ['ingress', 'egress']],
    ['one twice', { podSelector: {}, policyTypes: ['Egress', 'Egress'] }, ['egress']],
    ['without a spec', undefined, ['ingress']],
  ])('%s', (_, spec, isolates) => {
    expect(read(spec).isolates).toEqual(isolates);
  });
});

describe('rules', () => {
  it.each<[string, unknown, unknown[]]>([
    ['absent', {}, []],
    ['null', { ingress: null }, []],
    ['empty', { ingress: [] }, []],
    ['one empty rule', { ingress: [{}] }, [ALLOW_ALL]],
    ['one null rule', { ingress: [null] }, [ALLOW_ALL]],
    ['empty from and ports', { ingress: [{ from: [], ports: [] }] }, [ALLOW_ALL]],
    ['null from and ports', { ingress: [{ from: null, ports: null }] }, [ALLOW_ALL]],
  ])('ingress %s', (_, spec, rules) => {
    expect(read(spec).ingress).toEqual(rules);
  });

  it.each<[string, string, string, string]>([
    ['10.0.0.010/32', '10.0.0.10/32', '', ''],
    ['010.0.0.0/08', '10.0.0.0/8', '10.00.0.08/032', '10.0.0.8/32'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8', '10.1.0.0/16', '10.1.0.0/16'],
    ['10.0.0.0/8', '10.0.0.0/8', '::ffff:10.1.0.0/112', '10.1.0.0/16'],
    ['fd00::0000001/016', 'fd00::/16', 'fd00::00001/0128', 'fd00::1/128'],
  ])('read the block %s as the API server does: %s, except %s', (cidr, block, except, hole) => {
    const ipBlock = { cidr, except: except === '' ? [] : [except] };
    const [rule] = read({ ingress: [{ from: [{ ipBlock }] }] }).ingress;
    const taken = rule?.peers[0]?.ipBlock;
    const words = (text: string): Prefix | undefined => (text === '' ? undefined : prefixWords(text));
    expect(words(taken?.cidr ?? '')).toEqual(words(block));
    expect(words(taken?.except[0] ?? '')).toEqual(words(hole));
  });

  it('keep the selectors of one peer together, and peers apart', () => {
    const selector = { matchLabels: { a: 'b' } };
    const egress = [{ to: [{ podSelector: selector, namespaceSelector: {} }, { podSelector: {} }] }];
    const full = { matchLabels: { a: 'b' }, matchExpressions: [] };
    expect(read({ egress }).egress).toEqual([
      { peers: [{ podSelector: full, namespaceSelector: everyPod }, { podSelector: everyPod }], ports: [] },
    ]);
  });

  it('treat a null selector beside another as absent', () => {
    expect(read({ ingress: [{ from: [{ podSelector: null, namespaceSelector: {} }] }] }).ingress[0]?.peers).toEqual([
      { namespaceSelector: everyPod },
    ]);
  });

  it.each<[unknown, unknown]>([
    [{ cidr: '10.0.0.0/8' }, { cidr: '10.0.0.0/8', except: [] }],
    [
      { cidr: '10.0.0.1/8', except: ['10.1.0.0/16'] },
      { cidr: '10.0.0.1/8', except: ['10.1.0.0/16'] },
    ],
    [
      { cidr: '::/0', except: ['fd00::/8'] },
      { cidr: '::/0', except: ['fd00::/8'] },
    ],
  ])('ipBlock %j', (ipBlock, expected) => {
    expect(read({ ingress: [{ from: [{ ipBlock }] }] }).ingress[0]?.peers).toEqual([{ ipBlock: expected }]);
  });

  it.each<[unknown, unknown]>([
    [{}, { protocol: 'TCP' }],
    [null, { protocol: 'TCP' }],
    [{ port: 80 }, { protocol: 'TCP', port: 80 }],
    [
      { protocol: 'UDP', port: 'dns' },
      { protocol: 'UDP', port: 'dns' },
    ],
    [{ protocol: 'SCTP' }, { protocol: 'SCTP' }],
    [
      { port: 1, endPort: 65535 },
      { protocol: 'TCP', port: 1, endPort: 65535 },
    ],
    [
      { port: 80, endPort: 80 },
      { protocol: 'TCP', port: 80, endPort: 80 },
    ],
    [{ port: 'a-1-b' }, { protocol: 'TCP', port: 'a-1-b' }],
  ])('port %j', (port, expected) => {
    expect(read({ ingress: [{ ports: [port] }] }).ingress[0]?.ports).toEqual([expected]);
  });

  it('read all four operators', () => {
    const matchExpressions = [
      { key: 'a', operator: 'In', values: ['x', ''] },
      { key: 'b', operator: 'NotIn', values: ['y'] },
      { key: 'example.com/c', operator: 'Exists' },
      { key: 'd', operator: 'DoesNotExist', values: [] },
    ];
    expect(read({ podSelector: { matchExpressions } }).podSelector).toEqual({
      matchLabels: {},
      matchExpressions: [
        matchExpressions[0],
        matchExpressions[1],
        { ...matchExpressions[2], values: [] },
        matchExpressions[3],
      ],
    });
  });
});

const rule = (ports: unknown) => ({ ingress: [{ ports: [ports] }] });
const peer = (from: unknown) => ({ ingress: [{ from: [from] }] });
const expression = (requirement: unknown) => ({ podSelector: { matchExpressions: [requirement] } });
const PORT = 'spec.ingress[0].ports[0].port';
const NAME_RULE = `is not a port name; names have up to 15 lower case letters, digits and '-', one letter at least`;
const OPERATOR = 'spec.podSelector.matchExpressions[0].operator';
const OPERATORS = 'operators are In, NotIn, Exists, DoesNotExist';
const VALUES = 'spec.podSelector.matchExpressions[0].values';
const CIDR = 'spec.ingress[0].from[0].ipBlock.cidr';
const EXCEPT = 'spec.ingress[0].from[0].ipBlock.except[0]';

describe('a problem names the field, what is wrong, and what was probably meant', () => {
  it.each<[unknown, string]>([
    // ports
    [rule({ port: 99999 }), `${PORT}: 99999 is not a port; ports are 1 to 65535 | Did you mean 9999?`],
    [rule({ port: 0 }), `${PORT}: 0 is not a port; ports are 1 to 65535 | Leave the field out for every port.`],
    [rule({ port: -80 }), `${PORT}: -80 is not a port; ports are 1 to 65535 | Did you mean 80?`],
    [rule({ port: 80.5 }), `${PORT}: expected a port number, found the number 80.5`],
    [rule({ port: true }), `${PORT}: expected a port number, found the boolean true`],
    [rule({ port: [80] }), `${PORT}: expected a port number, found a list`],
    [
      rule({ port: '80' }),
      `${PORT}: "80" in quotes is a port name, and names need a letter | Did you mean 80, without quotes?`,
    ],
    [rule({ port: '' }), `${PORT}: "" ${NAME_RULE}`],
    [rule({ port: 'HTTP' }), `${PORT}: "HTTP" ${NAME_RULE} | Did you mean http?`],
    [rule({ port: 'my_port' }), `${PORT}: "my_port" ${NAME_RULE} | Did you mean my-port?`],
    [rule({ port: 'a--b' }), `${PORT}: "a--b" ${NAME_RULE}`],
    [rule({ port: 'http-' }), `${PORT}: "http-" ${NAME_RULE}`],
    [rule({ port: 'sixteen-letters1' }), `${PORT}: "sixteen-letters1" ${NAME_RULE}`],
    [rule({ port: '8000-8080' }), `${PORT}: "8000-8080" ${NAME_RULE} | Did you mean port: 8000 and endPort: 8080?`],
    [rule({ port: '53/udp' }), `${PORT}: "53/udp" ${NAME_RULE} | Did you mean port: 53 and protocol: UDP?`],
    [
      rule({ port: 443, endPort: 80 }),
      'spec.ingress[0].ports[0].endPort: endPort 80 is below port 443 | Did you mean port: 80 and endPort: 443?',
    ],
    [
      rule({ endPort: 80 }),
      'spec.ingress[0].ports[0].endPort: endPort needs a port, the first of the range | Did you mean port: 80?',
    ],
    [
      rule({ port: 'http', endPort: 80 }),
      'spec.ingress[0].ports[0].endPort: endPort needs a numeric port; "http" is a name',
    ],
    [
      rule({ port: 80, endPort: 70000 }),
      'spec.ingress[0].ports[0].endPort: 70000 is not a port; ports are 1 to 65535 | Did you mean 7000?',
    ],
    [
      rule({ port: 80, endPort: '90' }),
      'spec.ingress[0].ports[0].endPort: expected a port number, found the text "90" | Did you mean 90, without quotes?',
    ],
    [rule(80), 'spec.ingress[0].ports[0]: expected a map, found the number 80'],
    [
      rule({ port: 80, targetPort: 80 }),
      'spec.ingress[0].ports[0].targetPort: unknown field "targetPort" | Did you mean port?',
    ],
    // protocols
    [
      rule({ protocol: 'tcp' }),
      'spec.ingress[0].ports[0].protocol: "tcp" is not a protocol; protocols are TCP, UDP, SCTP | Did you mean TCP?',
    ],
    [
      rule({ protocol: 'STCP' }),
      'spec.ingress[0].ports[0].protocol: "STCP" is not a protocol; protocols are TCP, UDP, SCTP | Did you mean SCTP?',
    ],
    [
      rule({ protocol: 'ICMP' }),
      'spec.ingress[0].ports[0].protocol: "ICMP" is not a protocol; protocols are TCP, UDP, SCTP | A rule without ports allows ICMP too; one with ports never does.',
    ],
    [
      rule({ protocol: 6 }),
      'spec.ingress[0].ports[0].protocol: the number 6 is not a protocol; protocols are TCP, UDP, SCTP',
    ],
    // addresses
    [
      peer({ ipBlock: { cidr: '10.0.0.0/40' } }),
      `${CIDR}: 10.0.0.0/40 has no valid prefix length; those of IPv4 are 0 to 32 | Did you mean 10.0.0.0/8?`,
    ],
    [peer({ ipBlock: { cidr: '10.0.0.1' } }), `${CIDR}: 10.0.0.1 has no prefix length | Did you mean 10.0.0.1/32?`],
    [peer({ ipBlock: {} }), `${CIDR}: ipBlock needs a cidr | For any IPv4 address write 0.0.0.0/0.`],
    [
      peer({ ipBlock: { cidr: '10.0.0.0/16', except: ['10.1.0.0/24'] } }),
      `${EXCEPT}: 10.1.0.0/24 is not a smaller block inside 10.0.0.0/16 | What lies outside 10.0.0.0/16 is not allowed anyway; remove it.`,
    ],
    [
      peer({ ipBlock: { cidr: '10.0.0.0/16', except: ['10.0.0.0/8'] } }),
      `${EXCEPT}: 10.0.0.0/8 is not a smaller block inside 10.0.0.0/16 | Did you mean cidr: 10.0.0.0/8 and except: 10.0.0.0/16?`,
    ],
    [
      peer({ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.0.0/8'] } }),
      `${EXCEPT}: 10.0.0.0/8 is not a smaller block inside 10.0.0.0/8 | The rule would allow no address at all.`,
    ],
    [
      peer({ ipBlock: { cidr: '0.0.0.0/0', except: ['fd00::/8'] } }),
      `${EXCEPT}: fd00::/8 is not a smaller block inside 0.0.0.0/0 | An IPv6 block excludes nothing from an IPv4 one.`,
    ],
    [
      peer({ ipBlock: { cidr: '10.0.0.0/8', except: '10.1.0.0/16' } }),
      'spec.ingress[0].from[0].ipBlock.except: expected a list, found the text "10.1.0.0/16" | Put `- ` in front of each element.',
    ],
    [
      peer({ ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} }),
      'spec.ingress[0].from[0].ipBlock: ipBlock cannot stand beside selectors in one peer | Make it a list element of its own.',
    ],
    // peers and rules
    [
      peer({}),
      'spec.ingress[0].from[0]: the peer says nothing: it needs podSelector, namespaceSelector or ipBlock | For any peer leave the whole list out.',
    ],
    [
      peer(null),
      'spec.ingress[0].from[0]: the peer says nothing: it needs podSelector, namespaceSelector or ipBlock | For any peer leave the whole list out.',
    ],
    [
      peer({ namespaceSelector: null }),
      'spec.ingress[0].from[0]: the peer says nothing: it needs podSelector, namespaceSelector or ipBlock | Did you mean namespaceSelector: {}, which matches all?',
    ],
    [
      peer({ matchLabels: { a: 'b' } }),
      'spec.ingress[0].from[0].matchLabels: unknown field "matchLabels" | Put it under podSelector or namespaceSelector.',
    ],
    [
      { ingress: [{ from: { podSelector: {} } }] },
      'spec.ingress[0].from: expected a list, found a map | Put `- ` in front of each element.',
    ],
    [{ ingress: [{ form: [] }] }, 'spec.ingress[0].form: unknown field "form" | Did you mean from?'],
    [
      { ingress: [{ to: [] }] },
      'spec.ingress[0].to: unknown field "to" | Did you mean from? Rules of ingress have from, those of egress have to.',
    ],
    [
      { egress: [{ from: [] }] },
      'spec.egress[0].from: unknown field "from" | Did you mean to? Rules of egress have to, those of ingress have from.',
    ],
    [{ ingress: {} }, 'spec.ingress: expected a list, found a map | Put `- ` in front of each element.'],
    [{ ingress: ['all'] }, 'spec.ingress[0]: expected a map, found the text "all"'],
    [{ podSelectors: {} }, 'spec.podSelectors: unknown field "podSelectors" | Did you mean podSelector?'],
    [[], 'spec: expected a map, found a list | Remove the `- ` in front of it.'],
    [
      { policyTypes: ['ingress'] },
      'spec.policyTypes[0]: there is no policy type "ingress"; types are Ingress and Egress | Did you mean Ingress?',
    ],
    [{ policyTypes: [null] }, 'spec.policyTypes[0]: there is no policy type nothing; types are Ingress and Egress'],
    [
      { policyTypes: 'Ingress' },
      'spec.policyTypes: expected a list, found the text "Ingress" | Put `- ` in front of each element.',
    ],
    [
      { policyTypes: ['Ingress', 'Egress', 'Egress'] },
      'spec.policyTypes[2]: a policy has at most two types, Ingress and Egress',
    ],
    // selectors
    [
      { podSelector: { matchLabel: {} } },
      'spec.podSelector.matchLabel: unknown field "matchLabel" | Did you mean matchLabels?',
    ],
    [{ podSelector: { app: 'web' } }, 'spec.podSelector.app: unknown field "app" | Put labels under matchLabels.'],
    [{ podSelector: [] }, 'spec.podSelector: expected a map, found a list | Remove the `- ` in front of it.'],
    [
      { podSelector: { matchLabels: { a: true } } },
      'spec.podSelector.matchLabels.a: expected a text, found the boolean true | Write it in quotes.',
    ],
    [
      { podSelector: { matchLabels: { a: 1 } } },
      'spec.podSelector.matchLabels.a: expected a text, found the number 1 | Write it in quotes.',
    ],
    [{ podSelector: { matchLabels: { a: ['b'] } } }, 'spec.podSelector.matchLabels.a: expected a text, found a list'],
    [
      { podSelector: { matchLabels: { 'a b': 'c' } } },
      'spec.podSelector.matchLabels["a b"]: "a b" is not a label key; keys look like app or app.kubernetes.io/name',
    ],
    [
      { podSelector: { matchLabels: { a: 'b c' } } },
      `spec.podSelector.matchLabels.a: "b c" is not a label value; values have up to 63 letters, digits, '-', '_' and '.' | Did you mean b-c?`,
    ],
    [
      { podSelector: { matchExpressions: {} } },
      'spec.podSelector.matchExpressions: expected a list, found a map | Put `- ` in front of each element.',
    ],
    [
      expression({ key: 'a', operator: 'in', values: ['x'] }),
      `${OPERATOR}: there is no operator "in"; ${OPERATORS} | Did you mean In?`,
    ],
    [
      expression({ key: 'a', operator: 'NotExists' }),
      `${OPERATOR}: there is no operator "NotExists"; ${OPERATORS} | Did you mean DoesNotExist?`,
    ],
    [
      expression({ key: 'a', operator: '!=' }),
      `${OPERATOR}: there is no operator "!="; ${OPERATORS} | Did you mean NotIn?`,
    ],
    [expression({ key: 'a', operator: 'Gt' }), `${OPERATOR}: there is no operator "Gt"; ${OPERATORS}`],
    [expression({ key: 'a' }), `${OPERATOR}: the requirement has no operator; ${OPERATORS}`],
    [expression({ key: 'a', operator: {} }), `${OPERATOR}: expected an operator, found a map`],
    [expression({ operator: 'Exists' }), 'spec.podSelector.matchExpressions[0].key: the requirement has no key'],
    [expression({ key: 'a', operator: 'In' }), `${VALUES}: In needs values | Did you mean Exists?`],
    [
      expression({ key: 'a', operator: 'NotIn', values: [] }),
      `${VALUES}: NotIn needs values | Did you mean DoesNotExist?`,
    ],
    [
      expression({ key: 'a', operator: 'Exists', values: ['x'] }),
      `${VALUES}: Exists takes no values | Did you mean In?`,
    ],
    [
      expression({ key: 'a', operator: 'DoesNotExist', values: ['x'] }),
      `${VALUES}: DoesNotExist takes no values | Did you mean NotIn?`,
    ],
    [
      expression({ key: 'a', operator: 'In', values: 'x' }),
      `${VALUES}: expected a list, found the text "x" | Put \`- \` in front of each element.`,
    ],
    [
      expression({ key: 'a', operator: 'In', values: [1] }),
      `${VALUES}[0]: expected a text, found the number 1 | Write it in quotes.`,
    ],
    [
      expression({ key: 'a', operator: 'In', value: ['x'] }),
      'spec.podSelector.matchExpressions[0].value: unknown field "value" | Did you mean values?',
    ],
  ])('%j', (spec, expected) => {
    expect(problemsOf(spec)).toEqual([expected]);
  });
});

describe('a policy with a problem', () => {
  const web = { matchLabels: { app: 'web' } };
  const bad = { ports: [{ port: 0 }] };

  it('has no rules, not even the valid ones', () => {
    const { record } = projectPolicy(
      policy({ podSelector: web, policyTypes: ['Ingress', 'Egress'], ingress: [{}, bad], egress: [{}] }),
    );
    expect(record).toMatchObject({ ingress: [], egress: [], isolates: ['ingress', 'egress'] });
    expect(record.error).toBe('spec.ingress[1].ports[0].port: 0 is not a port; ports are 1 to 65535');
  });

  it.each<[string, unknown, string[]]>([
    ['the types that it names', { podSelector: web, policyTypes: ['Egress'], egress: [bad] }, ['egress']],
    ['Ingress if it has only ingress rules', { podSelector: web, ingress: [bad] }, ['ingress']],
    ['both if its egress rules are invalid', { podSelector: web, egress: [bad] }, ['ingress', 'egress']],
    ['both if egress is no list', { podSelector: web, egress: {} }, ['ingress', 'egress']],
    ['both if a type is invalid', { podSelector: web, policyTypes: ['Ingress', 'egres'] }, ['ingress', 'egress']],
    ['both if policyTypes is no list', { podSelector: web, policyTypes: 'Ingress' }, ['ingress', 'egress']],
    [
      'both if an unknown field may mean policyTypes',
      { podSelector: web, policyType: ['Egress'] },
      ['ingress', 'egress'],
    ],
    ['both if the spec is no map', 'x', ['ingress', 'egress']],
  ])('isolates for %s', (_, spec, isolates) => {
    expect(projectPolicy(policy(spec)).record).toMatchObject({
      isolates,
      ingress: [],
      egress: [],
      error: expect.any(String),
    });
  });

  it('isolates both ways if its spec field is misspelt', () => {
    const { record } = projectPolicy({ metadata: { name: 'p' }, specs: { policyTypes: ['Egress'] } });
    expect(record.isolates).toEqual(['ingress', 'egress']);
    expect(record.podSelector).toEqual(everyPod);
  });

  it('isolates the pods that it selects, if its podSelector can be read', () => {
    const { record } = projectPolicy(policy({ podSelector: web, ingress: [bad] }));
    expect(record.podSelector).toEqual({ ...web, matchExpressions: [] });
  });

  it.each([
    [{ matchLabels: { app: true } }],
    [{ matchLabels: { app: 'web' }, matchExpression: [] }],
    ['web'],
    [{ app: 'web' }],
  ])('isolates every pod of its namespace if its selector is %j', (podSelector) => {
    const { record } = projectPolicy(policy({ podSelector }));
    expect(record.namespace).toBe('shop');
    expect(record.podSelector).toEqual(everyPod);
  });

  it.each<[unknown, string, string]>([
    [{ namespace: 'shop' }, 'shop', 'unnamed'],
    [{ name: 'p' }, 'fallback', 'p'],
    [{ name: 7, namespace: 8 }, '8', '7'],
    [{ name: 'My_Policy', namespace: 'Shop' }, 'shop', 'my-policy'],
    ['x', 'fallback', 'unnamed'],
  ])('with metadata %j is in namespace %s and called %s', (metadata, namespace, name) => {
    expect(projectPolicy({ metadata, spec: {} }, 'fallback').record).toMatchObject({ namespace, name });
  });

  it('is an error if a metadata field is misspelt, because it may be the namespace', () => {
    const { record, problems } = projectPolicy({ metadata: { name: 'p', namspace: 'shop' }, spec: {} });
    expect(problems).toEqual([
      {
        path: ['metadata', 'namspace'],
        message: 'unknown field "namspace"',
        hint: 'Did you mean namespace?',
        unknownField: 'namspace',
        correction: { renameTo: 'namespace' },
      },
    ]);
    expect(record.error).toBeDefined();
  });
});

it('fields that the API server adds to metadata are no problem', () => {
  const metadata = {
    name: 'p',
    generateName: 'p-',
    uid: 'x',
    selfLink: '/x',
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: null,
    managedFields: [],
    ownerReferences: [],
    finalizers: [],
    annotations: { any: 'thing' },
    displayName: 'a field of the future',
  };
  expect(
    projectPolicy({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec: {}, status: {} })
      .problems,
  ).toEqual([]);
});

describe('given any JSON', () => {
  const key = fc.constantFrom(
    'metadata',
    'spec',
    'podSelector',
    'matchLabels',
    'matchExpressions',
    'ingress',
    'from',
    'ports',
    'port',
    'ipBlock',
    'cidr',
    '__proto__',
    'name',
    'operator',
    'key',
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(null, 0, 80, -1, 1.5, true, '', 'x', 'In', '10.0.0.0/8', 'Ingress'),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
    ),
  }));

  it('a policy comes out, and one with problems allows nothing', () => {
    fc.assert(
      fc.property(tree, tree, (spec, object) => {
        for (const { record, problems } of [projectPolicy(policy(spec)), projectPolicy(object)]) {
          expect(record.isolates.length).toBeGreaterThan(0);
          expect(record.error !== undefined).toBe(problems.length > 0);
          if (problems.length > 0) expect([...record.ingress, ...record.egress]).toEqual([]);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

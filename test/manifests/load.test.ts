import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManifestOptionError } from '../../src/manifests/address-range.ts';
import { clusterOf } from '../../src/manifests/cluster.ts';
import { loadManifests } from '../../src/manifests/load.ts';
import { formatProblem } from '../../src/manifests/problems.ts';
import { folderOf, load, problemsOf } from './manifest-files.ts';

const object = (apiVersion: string, kind: string, name: string, rest = '') =>
  `---\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: ${name}}\n${rest}`;
const pod = (name: string, rest = '') => object('v1', 'Pod', name, rest);
const policy = (name: string, spec: string) => object('networking.k8s.io/v1', 'NetworkPolicy', name, `spec: ${spec}\n`);
const FAILS_CLOSED = '\n    The policy fails closed: every pod of namespace default stays isolated for';

describe('the mode of a policy', () => {
  const annotated = (kind: string, apiVersion: string, mode: string) =>
    `---\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata:\n  name: shop\n  annotations: {podfence.io/mode: ${mode}}\n`;
  const both = (mode: string) =>
    `${annotated('Namespace', 'v1', mode)}${annotated('NetworkPolicy', 'networking.k8s.io/v1', mode)}spec: {podSelector: {}}\n`;

  it('is read from namespaces and policies', async () => {
    const { snapshot, problems } = await load(both('audit'));
    expect(problems).toEqual([]);
    expect(snapshot.namespaces.find(({ name }) => name === 'shop')?.mode).toBe('audit');
    expect(snapshot.policies[0]?.mode).toBe('audit');
  });

  it('is a warning if it is invalid, and the policy still counts', async () => {
    const text = both('adit');
    const warning =
      'warning: metadata.annotations["podfence.io/mode"]: "adit" is not a mode; modes are audit and enforce, and any other value counts as enforce. Did you mean audit?';
    expect(await problemsOf(text)).toEqual([
      `6:35  Namespace shop  ${warning}`,
      `12:35  NetworkPolicy default/shop  ${warning}`,
    ]);
    const { snapshot } = await load(text);
    expect(snapshot.policies[0]).toMatchObject({ mode: 'enforce' });
    expect(snapshot.policies[0]).not.toHaveProperty('error');
  });
});

describe('the loaded cluster', () => {
  it('has a name of its own for each object that has only generateName', async () => {
    const text = ['Pod', 'Job', 'Job']
      .map(
        (kind) =>
          `---\napiVersion: ${kind === 'Pod' ? 'v1' : 'batch/v1'}\nkind: ${kind}\nmetadata: {generateName: run-}\nspec: {template: {spec: {}}}\n`,
      )
      .join('');
    const { snapshot, problems } = await load(text);
    expect(problems).toEqual([]);
    expect(snapshot.pods.map(({ name }) => name)).toEqual(['run-00001', 'run-00002-1', 'run-00003-1']);
    expect(await problemsOf(text.replace('generateName: run-', 'generateName: RUN_'))).toEqual([
      expect.stringMatching(/"RUN_00001" is not a name/),
    ]);
  });

  it('is the same from YAML documents, from a List, from a typed list and from JSON', async () => {
    const objects = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'a' } } },
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'shop' }, status: { podIP: '10.0.0.1' } },
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'deny', namespace: 'shop' },
        spec: { podSelector: {} },
      },
    ];
    const texts = [
      objects.map((item) => JSON.stringify(item)).join('\n---\n'),
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'List',
        items: [{ kind: 'List', items: objects.slice(0, 2) }, objects[2]],
      }),
      objects
        .map(({ apiVersion, kind, ...item }) => JSON.stringify({ apiVersion, kind: `${kind}List`, items: [item] }))
        .join('\n---\n'),
    ];
    for (const text of texts) {
      const { snapshot, problems } = await load(text);
      expect(problems).toEqual([]);
      expect(snapshot).toEqual({
        namespaces: [{ kind: 'Namespace', name: 'shop', labels: { team: 'a', 'kubernetes.io/metadata.name': 'shop' } }],
        pods: [
          {
            kind: 'Pod',
            namespace: 'shop',
            name: 'web',
            labels: {},
            addresses: ['10.0.0.1'],
            hostNetwork: false,
            ports: [],
          },
        ],
        policies: [expect.objectContaining({ namespace: 'shop', name: 'deny', isolates: ['ingress'] })],
      });
    }
  });

  it('has a record of every namespace that an object is in', async () => {
    const text = pod('a') + policy('p', '{podSelector: {}}').replace('name: p', 'name: p, namespace: other');
    const { snapshot } = await load(text, { defaultNamespace: 'mine' });
    expect(snapshot.namespaces).toEqual([
      { kind: 'Namespace', name: 'mine', labels: { 'kubernetes.io/metadata.name': 'mine' } },
      { kind: 'Namespace', name: 'other', labels: { 'kubernetes.io/metadata.name': 'other' } },
    ]);
    expect(snapshot.pods[0]?.namespace).toBe('mine');
  });

  it('accepts a rendered Helm chart', async () => {
    const chart = `---
# Source: chart/templates/serviceaccount.yaml
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
---
# Source: chart/templates/ingress.yaml
---
# Source: chart/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels:
    helm.sh/chart: web-1.0.0
spec:
  template:
    metadata:
      labels:
        app.kubernetes.io/name: web
    spec:
      containers:
        - name: web
          args: ["--template={{ .x }}"]
          ports:
            - name: http
              containerPort: 8080
---
# Source: chart/templates/configmap.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {a: "{{ not a template }}"}
`;
    const { snapshot, problems, skipped } = await load(chart);
    expect(problems).toEqual([]);
    expect(snapshot.pods.map(({ name, ports }) => [name, ports])).toEqual([
      ['web-1', [{ name: 'http', port: 8080, protocol: 'TCP' }]],
    ]);
    expect([...skipped]).toEqual([
      ['ServiceAccount', 1],
      ['ConfigMap', 1],
    ]);
  });

  it('counts unused kinds, and those of other projects by their version', async () => {
    const text =
      object('v1', 'Secret', 'a') +
      object('v1', 'Secret', 'b') +
      object('v1', 'Node', 'n') +
      object('projectcalico.org/v3', 'NetworkPolicy', 'c') +
      object('serving.knative.dev/v1', 'Service', 'd') +
      object('policy.networking.k8s.io/v1alpha1', 'AdminNetworkPolicy', 'e') +
      object('example.com/v1', 'AllowList', 'f', 'items: []\n');
    const { skipped, problems, snapshot } = await load(text);
    expect(problems).toEqual([]);
    expect(snapshot.policies).toEqual([]);
    expect(Object.fromEntries(skipped)).toEqual({
      Secret: 2,
      Node: 1,
      'NetworkPolicy (projectcalico.org/v3)': 1,
      'Service (serving.knative.dev/v1)': 1,
      AdminNetworkPolicy: 1,
    });
  });

  it('accepts former versions of the workloads', async () => {
    const text = object('extensions/v1beta1', 'Deployment', 'web', 'spec: {template: {spec: {}}}\n');
    const { snapshot, problems } = await load(text);
    expect(problems).toEqual([]);
    expect(snapshot.pods).toHaveLength(1);
  });

  it('has the place of each policy', async () => {
    await using folder = await folderOf({
      'a.yaml': `# first\n${policy('p', '{}')}${policy('q', '{}')}`,
      'b.json':
        '\n{"kind":"List","items":[\n {"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"r"}}]}',
    });
    const { policyLocations } = await loadManifests([folder.path]);
    expect(Object.fromEntries(policyLocations)).toEqual({
      'default/p': { file: join(folder.path, 'a.yaml'), line: 3 },
      'default/q': { file: join(folder.path, 'a.yaml'), line: 8 },
      'default/r': { file: join(folder.path, 'b.json'), line: 3 },
    });
  });
});

describe('addresses', () => {
  const addressesOf = async (text: string, options = {}) => {
    const { snapshot, problems } = await load(text, options);
    expect(problems).toEqual([]);
    return Object.fromEntries(snapshot.pods.map(({ name, addresses }) => [name, addresses]));
  };

  it('stay the same in another order, and when other pods come and go', async () => {
    const alone = await addressesOf(pod('web'));
    const others = await addressesOf(pod('zz') + pod('web') + pod('aa'));
    expect(await addressesOf(pod('aa') + pod('web') + pod('zz'))).toEqual(others);
    expect(others).toMatchObject(alone);
    expect(new Set(Object.values(others).flat()).size).toBe(3);
  });

  it.each<[object, RegExp[]]>([
    [{}, [/^10\.244\.\d+\.\d+$/]],
    [{ families: ['IPv6'] }, [/^fd00:10:244::/]],
    [{ families: ['IPv6', 'IPv4'] }, [/^fd00:10:244::/, /^10\.244\./]],
    [{ podRanges: ['192.168.7.0/24'] }, [/^192\.168\.7\./]],
    [{ families: ['IPv4', 'IPv6'], podRanges: ['fd99::/64'] }, [/^10\.244\./, /^fd99::/]],
  ])('for %j are %j', async (options, patterns) => {
    expect(await addressesOf(pod('web'), options)).toEqual({
      web: patterns.map((pattern) => expect.stringMatching(pattern)),
    });
  });

  it('in a status are given to no other pod', async () => {
    const [taken] = Object.values(await addressesOf(pod('web')));
    const both = await addressesOf(pod('web') + pod('real', `status: {podIP: ${taken}}\n`));
    expect(both.real).toEqual(taken);
    expect(both.web).not.toEqual(taken);
  });

  it('are not given to pods that have ended or that use their node’s', async () => {
    const text =
      pod('done', 'status: {phase: Succeeded, podIP: 10.0.0.1}\n') + pod('host', 'spec: {hostNetwork: true}\n');
    expect(await addressesOf(text)).toEqual({ done: [], host: [] });
  });

  it('that were made up, for pods and nodes, are kept apart from those in the manifests', async () => {
    const text =
      pod('web') + pod('real', 'status: {podIP: 10.0.0.1}\n') + pod('host', 'spec: {hostNetwork: true, nodeName: n}\n');
    const loaded = await load(text, { podRanges: ['10.42.0.0/16'] });
    const { assigned, snapshot } = clusterOf(loaded);
    const [host = '', real = '', web = ''] = snapshot.pods.map(({ addresses }) => addresses[0] ?? '');
    expect([...loaded.assignedAddresses]).toEqual([web]);
    expect(assigned).toEqual({ addresses: new Set([web, host]), ranges: ['10.42.0.0/16'] });
    expect(real).toBe('10.0.0.1');
  });

  it('run out, and a problem says so', async () => {
    const text = ['a', 'b', 'c'].map((name) => pod(name)).join('');
    const { snapshot, problems } = await load(text, { podRanges: ['10.0.0.0/30'] });
    expect(snapshot.pods.map(({ addresses }) => addresses.length)).toEqual([1, 0, 0]);
    expect(problems.map(formatProblem)).toEqual([
      'the pod range is full: 2 pods lack an address, first default/b. Give a larger range.',
    ]);
  });

  it('need a valid range', async () => {
    await expect(load('', { podRanges: ['10.0.0.0/99'] })).rejects.toThrow(ManifestOptionError);
  });
});

describe('bad input', () => {
  it.each<[string, string, string[]]>([
    [
      'port',
      policy('p', '{ingress: [{ports: [{port: 99999}]}]}'),
      [
        '5:34  NetworkPolicy default/p  spec.ingress[0].ports[0].port: 99999 is not a port; ports are 1 to 65535. Did you mean 9999?' +
          `${FAILS_CLOSED} ingress, and it allows nothing.`,
      ],
    ],
    [
      'CIDR',
      policy('p', '{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/40}}]}]}'),
      [
        '5:40  NetworkPolicy default/p  spec.egress[0].to[0].ipBlock.cidr: 10.0.0.0/40 has no valid prefix length; those of IPv4 are 0 to 32. Did you mean 10.0.0.0/8?' +
          `${FAILS_CLOSED} ingress and egress, and it allows nothing.`,
      ],
    ],
    [
      'two problems, one note',
      policy('p', '{policyTypes: [Egress], egress: [{ports: [{port: 0, protocol: udp}]}]}'),
      [
        '5:56  NetworkPolicy default/p  spec.egress[0].ports[0].port: 0 is not a port; ports are 1 to 65535. Leave the field out for every port.',
        '5:69  NetworkPolicy default/p  spec.egress[0].ports[0].protocol: "udp" is not a protocol; protocols are TCP, UDP, SCTP. Did you mean UDP?' +
          `${FAILS_CLOSED} egress, and it allows nothing.`,
      ],
    ],
    [
      'a policy of a selector',
      policy('p', '{podSelector: {matchLabels: {a: b}}, ingress: 1}'),
      [
        '5:53  NetworkPolicy default/p  spec.ingress: expected a list, found the number 1. Put `- ` in front of each element.\n    The policy fails closed: its pods stay isolated for ingress, and it allows nothing.',
      ],
    ],
    [
      'a misspelt kind',
      object('networking.k8s.io/v1', 'NetworkPolcy', 'p'),
      [
        '3:7  NetworkPolicy default/p  kind: networking.k8s.io/v1 has no kind "NetworkPolcy". Did you mean NetworkPolicy?' +
          `${FAILS_CLOSED} ingress, and it allows nothing.`,
      ],
    ],
    [
      'a wrong version',
      object('networking.k8s.io/v1beta1', 'NetworkPolicy', 'p'),
      [
        '2:13  NetworkPolicy default/p  apiVersion: there is no NetworkPolicy in "networking.k8s.io/v1beta1". Did you mean networking.k8s.io/v1?' +
          `${FAILS_CLOSED} ingress, and it allows nothing.`,
      ],
    ],
    [
      'a version that is gone',
      object('extensions/v1beta1', 'NetworkPolicy', 'p'),
      [
        '2:13  NetworkPolicy default/p  apiVersion: Kubernetes 1.16 removed extensions/v1beta1: this policy is not enforced. Did you mean networking.k8s.io/v1?',
      ],
    ],
    [
      'no version',
      'kind: NetworkPolicy\nmetadata: {name: p}\n',
      [
        '1:1  NetworkPolicy default/p  apiVersion: the object has no apiVersion. Did you mean networking.k8s.io/v1?' +
          `${FAILS_CLOSED} ingress, and it allows nothing.`,
      ],
    ],
    [
      'no kind, but a policy',
      'apiVersion: networking.k8s.io/v1\nmetadata: {name: p}\nspec: {podSelector: {}}\n',
      [
        '1:1  NetworkPolicy default/p  kind: the object has no kind. Did you mean NetworkPolicy?' +
          `${FAILS_CLOSED} ingress, and it allows nothing.`,
      ],
    ],
    ['no kind', 'apiVersion: v1\nmetadata: {name: p}\n', ['1:1  kind: the object has no kind']],
    [
      'a misspelt key',
      'apiVersion: v1\nKind: Pod\n',
      ['2:7  Kind: the object has no kind. Did you mean kind: instead of "Kind"?'],
    ],
    ['no version of anything known', 'kind: Thing\n', ['1:1  apiVersion: the object has no apiVersion']],
    [
      'no name',
      'apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: b}}\n',
      ['3:1  Pod  metadata.name: the object has no name'],
    ],
    ['no metadata', 'apiVersion: v1\nkind: Pod\n', ['1:1  Pod  metadata.name: the object has no name']],
    [
      'a policy without a name',
      'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n',
      [`1:1  NetworkPolicy  metadata.name: the object has no name${FAILS_CLOSED} ingress, and it allows nothing.`],
    ],
    [
      'a name that is a number',
      object('v1', 'Namespace', '7'),
      ['4:18  Namespace 7  metadata.name: expected a text, found the number 7. Write it in quotes.'],
    ],
    ['a text', 'hello\n', ['1:1  expected a Kubernetes object, found the text "hello"']],
    [
      'a list',
      '- a: 1\n',
      ['1:1  expected a Kubernetes object, found a list. Put the objects into the items of a List.'],
    ],
    [
      'an item that is no object',
      'apiVersion: v1\nkind: List\nitems:\n- 3\n',
      ['4:3  expected a Kubernetes object, found the number 3'],
    ],
    [
      'items that are no list',
      'apiVersion: v1\nkind: List\nitems: {a: 1}\n',
      ['3:1  items: expected a list, found a map'],
    ],
    [
      'the same object twice',
      pod('a') + pod('b') + pod('a'),
      ['10:1  Pod default/a  warning: it replaces the Pod of the same name at <stdin>:2'],
    ],
    [
      'an unrendered template of a policy that does not parse',
      '{{- if .Values.x }}\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {{ include "x" . }}\n{{- end }}\n',
      [
        '1:3  the YAML does not parse: block collections are not allowed within flow collections. This looks like a Helm template: give the output of `helm template` instead.',
      ],
    ],
    ['a patch that deletes', pod('a') + pod('a', '$patch: delete\n'), []],
    ['nothing but comments', '# nothing\n---\n', ['warning: the file contains no object']],
    [
      'an unrendered template',
      policy('p', '{ingress: [{ports: [{port: {{ .Values.port }}}]}]}').replace('}}}]', '}}}]'),
      [
        '5:28  NetworkPolicy default/p  spec.ingress[0].ports[0].port: expected a port number, found a map. This looks like a Helm template: give the output of `helm template` instead.' +
          `${FAILS_CLOSED} ingress, and it allows nothing.`,
      ],
    ],
    [
      'an unrendered template that does not parse',
      '{{- if .Values.x }}\napiVersion: v1\nkind: Pod\n{{- end }}\n',
      [
        '1:3  the YAML does not parse: block collections are not allowed within flow collections. This looks like a Helm template: give the output of `helm template` instead.',
      ],
    ],
  ])('%s', async (_, text, expected) => {
    const lines = (await problemsOf(text)).map((line) => line.trimStart());
    expect(lines).toEqual(expected);
  });

  it('does not keep the rest from loading', async () => {
    const text = `${pod('a')}---\nspec:\n\tx: 1\n${policy('bad', '{ingress: 1}')}${policy('good', '{ingress: [{}]}')}---\n- 1\n${pod('b')}`;
    const { snapshot, problems } = await load(text);
    expect(snapshot.pods.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(snapshot.policies.map(({ name, error, ingress }) => [name, error !== undefined, ingress.length])).toEqual([
      ['bad', true, 0],
      ['good', false, 1],
    ]);
    expect(problems.map(({ line, severity }) => [line, severity])).toEqual([
      [7, 'error'],
      [12, 'error'],
      [19, 'error'],
    ]);
  });

  it('lets the later of two policies with one name count, valid or not', async () => {
    const good = policy('p', '{ingress: [{}]}');
    const bad = policy('p', '{ingress: 1}');
    expect((await load(bad + good)).snapshot.policies).toMatchObject([{ ingress: [{}] }]);
    expect((await load(good + bad)).snapshot.policies).toMatchObject([{ ingress: [], error: expect.any(String) }]);
  });

  it('keeps policies without a name apart', async () => {
    const unnamed = '---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n';
    expect((await load(unnamed + unnamed)).snapshot.policies.map(({ name }) => name)).toEqual(['unnamed', 'unnamed-2']);
  });

  it('has a line in broken JSON, and a Chart.yaml is not taken for a manifest', async () => {
    await using folder = await folderOf({
      'a.json': '{"kind": "Pod",\n}',
      'Chart.yaml': 'apiVersion: v2\nname: x\n',
      'values.yaml': 'a: 1\n',
    });
    const { problems } = await loadManifests([folder.path]);
    expect(problems.map((problem) => formatProblem(problem).replace(`${folder.path}/`, ''))).toEqual([
      'Chart.yaml:1:1  kind: the object has no kind. This is part of a Helm chart: give the output of `helm template` instead.',
      'a.json:2:1  expected a key, found "}". Remove the comma in front of it.',
      'values.yaml:1:1  kind: the object has no kind. This is part of a Helm chart: give the output of `helm template` instead.',
    ]);
  });
});

it('endlessly nested Lists are a problem and do not crash the process', async () => {
  const text = `${'{"kind":"List","items":['.repeat(5000)}${']}'.repeat(5000)}`;
  expect(await problemsOf(text)).toEqual([expect.stringContaining('items: the Lists are nested too deeply')]);
});

it('no text makes the loader fail, and every problem has a place in the text', async () => {
  const piece = fc.constantFrom(
    'apiVersion: networking.k8s.io/v1\n',
    'kind: NetworkPolicy\n',
    'kind: List\nitems:\n',
    'metadata:\n',
    '  name: a\n',
    'spec:\n',
    '  podSelector: {}\n',
    '  ingress:\n',
    '  - from:\n',
    '    - ipBlock: {cidr: 1.2.3.4/5}\n',
    '---\n',
    '- ',
    '\t',
    '"',
    '{',
    ']',
    '*a ',
    '&a ',
    '<<: ',
    '# ',
    '\u0085',
    '|\n',
    '{"kind":',
    '%X\n',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 16 }), async (pieces) => {
      const text = pieces.join('');
      const { problems } = await load(text);
      const lines = text.split('\n').length;
      for (const { line, column, severity } of problems) {
        if (severity === 'warning' && line === 0) continue;
        expect(line).toBeGreaterThanOrEqual(1);
        expect(line).toBeLessThanOrEqual(lines);
        expect(column).toBeGreaterThanOrEqual(1);
      }
    }),
    { numRuns: 1000 },
  );
});

import { describe, expect, it } from 'vitest';
import { load, problemsOf } from './manifest-files.ts';

const TEMPLATE = `template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, ports: [{containerPort: 80}]}]`;

const API = {
  Deployment: 'apps/v1',
  ReplicaSet: 'apps/v1',
  StatefulSet: 'apps/v1',
  DaemonSet: 'apps/v1',
  Job: 'batch/v1',
};

function workload(kind: keyof typeof API, name: string, fields = '', owner = ''): string {
  return `---
apiVersion: ${API[kind]}
kind: ${kind}
metadata: {name: ${name}, namespace: shop${owner}}
spec:
  ${fields}
  ${TEMPLATE}
`;
}

const ownedBy = (kind: string, name: string) => `, ownerReferences: [{kind: ${kind}, name: ${name}, controller: true}]`;

function pod(name: string, owner = '', labels = '{app: web}'): string {
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, labels: ${labels}${owner}}
status: {podIP: 10.0.0.9}
`;
}

async function podNames(text: string, options = {}): Promise<string[]> {
  const { snapshot, problems } = await load(text, options);
  expect(problems).toEqual([]);
  return snapshot.pods.map(({ name }) => name);
}

describe('a workload becomes pods', () => {
  it.each<[keyof typeof API, string, object, string[]]>([
    ['Deployment', '', {}, ['web-1']],
    ['Deployment', 'replicas: 2', {}, ['web-1', 'web-2']],
    ['Deployment', 'replicas: 50', {}, ['web-1', 'web-2', 'web-3']],
    ['Deployment', 'replicas: 5', { maxReplicas: 4 }, ['web-1', 'web-2', 'web-3', 'web-4']],
    ['Deployment', 'replicas: 0', {}, []],
    ['Deployment', 'replicas: null', {}, ['web-1']],
    ['ReplicaSet', 'replicas: 2', {}, ['web-1', 'web-2']],
    ['StatefulSet', 'replicas: 2', {}, ['web-0', 'web-1']],
    ['StatefulSet', '{replicas: 2, ordinals: {start: 5}}', {}, ['web-5', 'web-6']],
    ['DaemonSet', '', {}, ['web-1']],
    ['DaemonSet', '', { nodes: ['n1', 'n2'] }, ['web-n1', 'web-n2']],
    ['Job', '', {}, ['web-1']],
    ['Job', 'parallelism: 2', {}, ['web-1', 'web-2']],
    ['Job', '{parallelism: 3, completions: 2}', {}, ['web-1', 'web-2']],
    ['Job', 'suspend: true', {}, []],
  ])('%s %s %j', async (kind, fields, options, expected) => {
    const inner = fields.replace(/^\{(.*)\}$/, '$1').replace(/, (?=\w+:)/g, '\n  ');
    expect(await podNames(workload(kind, 'web', inner), options)).toEqual(expected);
  });

  it('with the labels, ports and namespace of its template', async () => {
    const { snapshot } = await load(workload('Deployment', 'web'));
    expect(snapshot.pods).toEqual([
      {
        kind: 'Pod',
        namespace: 'shop',
        name: 'web-1',
        labels: { app: 'web' },
        addresses: [expect.stringMatching(/^10\.244\./)],
        hostNetwork: false,
        ports: [{ port: 80, protocol: 'TCP' }],
      },
    ]);
  });

  it('of a DaemonSet on each node', async () => {
    const { snapshot } = await load(workload('DaemonSet', 'web'), { nodes: ['n1', 'n2'] });
    expect(snapshot.pods.map(({ nodeName }) => nodeName)).toEqual(['n1', 'n2']);
  });

  it('of a StatefulSet with the labels that distinguish them', async () => {
    const { snapshot } = await load(workload('StatefulSet', 'web'));
    expect(snapshot.pods[0]?.labels).toEqual({
      app: 'web',
      'statefulset.kubernetes.io/pod-name': 'web-0',
      'apps.kubernetes.io/pod-index': '0',
    });
  });

  it('of a CronJob from the template within its template', async () => {
    const text = `apiVersion: batch/v1
kind: CronJob
metadata: {name: tick, namespace: shop}
spec:
  jobTemplate:
    spec:
      parallelism: 2
      template:
        metadata: {labels: {app: tick}}
        spec: {containers: [{name: c}]}
`;
    expect(await podNames(text)).toEqual(['tick-1', 'tick-2']);
  });

  it('with different names if two workloads share a name', async () => {
    const text = pod('web-1') + workload('Deployment', 'web') + workload('Job', 'web');
    expect(await podNames(text)).toEqual(['web-1', 'web-deployment-1', 'web-job-1']);
  });
});

describe('in a dump of a cluster only the real pods count', () => {
  const deployment = workload('Deployment', 'web', 'replicas: 2');
  const replicaSet = workload('ReplicaSet', 'web-5d8f', 'replicas: 2', ownedBy('Deployment', 'web'));
  const old = workload('ReplicaSet', 'web-1111', 'replicas: 0', ownedBy('Deployment', 'web'));
  const owned = pod('web-5d8f-x7k2p', ownedBy('ReplicaSet', 'web-5d8f'), '{app: web, pod-template-hash: 5d8f}');

  it.each<[string, string, string[]]>([
    ['Deployment, ReplicaSets and Pods', deployment + replicaSet + old + owned, ['web-5d8f-x7k2p']],
    ['the same in another order', owned + old + replicaSet + deployment, ['web-5d8f-x7k2p']],
    ['Deployment and Pods, no ReplicaSets', deployment + owned, ['web-5d8f-x7k2p']],
    ['ReplicaSet and Pods', replicaSet + owned, ['web-5d8f-x7k2p']],
    ['Deployment and ReplicaSet, no Pods', deployment + replicaSet, ['web-1', 'web-2']],
    ['ReplicaSet alone', replicaSet, ['web-5d8f-1', 'web-5d8f-2']],
    ['Pods of something else', workload('StatefulSet', 'db') + owned, ['db-0', 'web-5d8f-x7k2p']],
    ['StatefulSet and its Pod', workload('StatefulSet', 'db') + pod('db-0', ownedBy('StatefulSet', 'db')), ['db-0']],
    ['a Job of a CronJob', cronJob() + workload('Job', 'tick-2890', '', ownedBy('CronJob', 'tick')), ['tick-1']],
    ['a Pod of such a Job', cronJob() + pod('tick-2890-abc', ownedBy('Job', 'tick-2890')), ['tick-2890-abc']],
  ])('%s', async (_, text, expected) => {
    expect(await podNames(text)).toEqual(expected);
  });

  function cronJob(): string {
    return '---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: tick, namespace: shop}\nspec: {jobTemplate: {spec: {template: {spec: {}}}}}\n';
  }
});

describe('what is wrong with a workload', () => {
  it.each<[string, string]>([
    [
      workload('Deployment', 'web', 'replicas: "3"'),
      '6:13  Deployment shop/web  spec.replicas: expected a whole number of at least 0, found the text "3". Did you mean 3, without quotes?',
    ],
    [
      workload('Deployment', 'web', 'replicas: -1'),
      '6:13  Deployment shop/web  spec.replicas: expected a whole number of at least 0, found the number -1',
    ],
    [
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n',
      '4:1  Deployment default/web  spec.template: the Deployment has no pod template',
    ],
    [
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template: []\n',
      '5:3  Deployment default/web  spec.template: expected a map, found a list. Remove the `- ` in front of it.',
    ],
    [
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {metadata: {labels: {a: yes}}}}\n',
      '4:42  Deployment default/web  spec.template.metadata.labels.a: expected a text, found the boolean true. Write it in quotes.',
    ],
    [
      'apiVersion: v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {}}\n',
      '1:13  Deployment default/web  apiVersion: there is no Deployment in "v1". Did you mean apps/v1?',
    ],
  ])('%j', async (text, expected) => {
    expect(await problemsOf(text)).toEqual([expected]);
  });
});

/** Pods that controllers make, and traffic that comes through Services, host ports and kubelets. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Cluster } from './cluster.ts';
import { install } from './installation.ts';
import { Machine, onMachine } from './machine.ts';
import { Namespace } from './pods.ts';
import { until } from './until.ts';

const cluster = new Cluster();
const machine = Machine.of(cluster);
let own: Namespace;
let first = '';
let second = '';

beforeAll(async () => {
  await install(cluster);
  const nodes = await cluster.nodes();
  [first = '', second = first] = nodes;
  own = await Namespace.create(cluster, 'workloads');
  await own.pods({
    client: { labels: { app: 'client' }, node: second },
    stranger: { labels: { app: 'stranger' }, node: second },
  });
});
afterAll(() => own?.delete());
beforeEach(() => own.kubectl('delete', 'networkpolicy', '--all').then(() => undefined));

const allowClients = (labels: object) =>
  own.policy('clients', {
    podSelector: { matchLabels: labels },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
  });

const service = (name: string, selector: object, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector, ports: [{ name: 'tcp', port: 80, targetPort: 8080 }], ...spec },
});

describe('a Deployment', () => {
  test('that is rolled out again stays closed to strangers and open to clients', async () => {
    const template = own.template({ labels: { app: 'web' } });
    const spec = { replicas: 2, selector: { matchLabels: { app: 'web' } }, template };
    await own.apply({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec });
    await own.apply(service('web', { app: 'web' }));
    await own.kubectl('rollout', 'status', 'deployment/web', '--timeout=60s');
    await allowClients({ app: 'web' });
    const { clusterIP } = (await cluster.get('service', 'web', own.name)).spec;
    const web = `tcp:${clusterIP}:80`;
    await own.asks('client', { [web]: /^web-/ });
    await own.asks('stranger', { [web]: 'silent' });
    const before = await cluster.list('pods', '-n', own.name, '-l', 'app=web');
    await own.kubectl('rollout', 'restart', 'deployment/web');
    await own.kubectl('rollout', 'status', 'deployment/web', '--timeout=60s');
    const names = before.map(({ metadata }) => metadata.name);
    await until('the old pods are gone', async () => {
      const pods = await cluster.list('pods', '-n', own.name, '-l', 'app=web');
      return !pods.some(({ metadata }) => names.includes(metadata.name));
    });
    await own.asks('client', { [web]: /^web-/ });
    const pods = await cluster.list('pods', '-n', own.name, '-l', 'app=web');
    const targets = pods.map(({ status }) => `tcp:${status.podIP}:8080`);
    await own.asks('stranger', Object.fromEntries([web, ...targets].map((target) => [target, 'silent'])));
  });
});

describe('a StatefulSet', () => {
  test('behind a headless Service: one of its pods is isolated by its own label, and each is reached by its name', async () => {
    await own.apply(service('db', { app: 'db' }, { clusterIP: 'None' }));
    const template = own.template({ labels: { app: 'db' } });
    const spec = {
      serviceName: 'db',
      replicas: 2,
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: { app: 'db' } },
      template,
    };
    await own.apply({ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'db' }, spec });
    await own.kubectl('rollout', 'status', 'statefulset/db', '--timeout=60s');
    await allowClients({ 'statefulset.kubernetes.io/pod-name': 'db-0' });
    const name = (pod: string) => `tcp:${pod}.db.${own.name}.svc.cluster.local:8080`;
    await own.asks('client', { [name('db-0')]: 'db-0', [name('db-1')]: 'db-1' });
    await own.asks('stranger', { [name('db-0')]: 'silent', [name('db-1')]: 'db-1' });
  });
});

describe('a Job', () => {
  /** The policy is about two pods, one and two. The Job's pod stays when the Job has ended. */
  let two = '';
  const policy = {
    podSelector: { matchLabels: { app: 'job' } },
    policyTypes: ['Egress'],
    egress: [{ to: [{ podSelector: { matchLabels: { app: 'one' } } }] }],
  };
  afterAll(() => own.kubectl('delete', 'job', 'asks', '--ignore-not-found'));

  test("asks only what its pod's policy allows", async () => {
    await own.pods({ one: { labels: { app: 'one' }, node: first }, two: { labels: { app: 'two' }, node: first } });
    const one = await own.addressOf('one');
    two = await own.addressOf('two');
    await own.policy('job', policy);
    // The Job's first packets may pass before its policies are known here. That is another test's
    // subject, so the Job waits until they are known.
    const ask = `
      until [ "$(node /programs/ask.ts 1000 tcp:${two}:8080)" = '["silent"]' ]; do :; done
      node /programs/ask.ts 2000 tcp:${one}:8080 tcp:${two}:8080`;
    const template = own.template({
      labels: { app: 'job' },
      node: second,
      container: { command: ['sh', '-c', ask] },
    }) as { spec: object };
    const spec = { backoffLimit: 0, template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } };
    await own.apply({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'asks' }, spec });
    await own.kubectl('wait', '--for=condition=Complete', 'job/asks', '--timeout=60s');
    expect(JSON.parse(await own.kubectl('logs', 'job/asks'))).toEqual(['one', 'silent']);
  });

  test.skipIf(machine === undefined)(
    onMachine('that has ended keeps its pod, and the next pod with that address has none of its policies'),
    async () => {
      const [ended] = await cluster.list('pods', '-n', own.name, '-l', 'app=job');
      const address = ended?.status.podIP ?? '';
      await own.policy('job', policy);
      await machine?.giveAgain(second, address);
      await own.pods({ after: { labels: { app: 'after' }, node: second } });
      expect(await own.addressOf('after')).toBe(address);
      await own.asks('after', { [`tcp:${two}:8080`]: 'two' });
    },
  );
});

describe('the network of the node', () => {
  test('a pod in it, on another node, does not match a podSelector', async () => {
    await own.pods({
      server: { labels: { app: 'server' }, node: first },
      hosted: { labels: { app: 'client' }, node: second, hostNetwork: true, serve: ['tcp:18081'] },
    });
    const server = `tcp:${await own.addressOf('server')}:8080`;
    await own.asks('hosted', { [server]: 'server' });
    await allowClients({ app: 'server' });
    await own.asks('client', { [server]: 'server' });
    await own.asks('hosted', { [server]: first === second ? 'server' : 'silent' });
  });

  test('a pod in it, on the same node, always reaches the pod', async () => {
    await own.pods({
      neighbour: { labels: { app: 'neighbour' }, node: first, hostNetwork: true, serve: ['tcp:18082'] },
    });
    await own.policy('closed', { podSelector: { matchLabels: { app: 'server' } }, policyTypes: ['Ingress'] });
    const server = `tcp:${await own.addressOf('server')}:8080`;
    await own.asks('client', { [server]: 'silent' });
    await own.asks('neighbour', { [server]: 'server' });
  });

  test("a hostPort is judged as the pod's port", async () => {
    const ports = [{ containerPort: 8080, hostPort: 18080 }];
    await own.pods({ ported: { labels: { app: 'ported' }, node: first, ports } });
    const node = (await own.pod('ported')).status.hostIP;
    const port = `tcp:${node}:18080`;
    await own.asks('client', { [port]: 'ported' });
    await own.policy('closed', { podSelector: { matchLabels: { app: 'ported' } }, policyTypes: ['Ingress'] });
    await own.asks('client', { [port]: 'silent' });
    await allowClients({ app: 'ported' });
    await own.kubectl('delete', 'networkpolicy', 'closed');
    await own.asks('client', { [port]: 'ported' });
    await own.asks('stranger', { [port]: 'silent' });
  });
});

describe('a Service', () => {
  test.each(['Cluster', 'Local'])(
    'with a NodePort and externalTrafficPolicy %s shows the pod behind the address',
    async (externalTrafficPolicy) => {
      const name = `port-${externalTrafficPolicy.toLowerCase()}`;
      await own.pods({ [name]: { labels: { app: name }, node: first } });
      await own.apply(service(name, { app: name }, { type: 'NodePort', externalTrafficPolicy }));
      const { clusterIP, ports } = (await cluster.get('service', name, own.name)).spec;
      const [{ nodePort }] = ports as [{ nodePort: number }];
      const node = (await own.pod(name)).status.hostIP;
      const ways = [`tcp:${clusterIP}:80`, `tcp:${node}:${nodePort}`];
      const all = (outcome: string) => Object.fromEntries(ways.map((way) => [way, outcome]));
      await own.asks('stranger', all(name));
      await allowClients({ app: name });
      await own.asks('client', all(name));
      await own.asks('stranger', all('silent'));
    },
  );

  test('with a NodePort shows the node, not the client, to a pod on another node', async () => {
    await own.pods({ behind: { labels: { app: 'behind' }, node: first } });
    await own.apply(service('behind', { app: 'behind' }, { type: 'NodePort', externalTrafficPolicy: 'Cluster' }));
    const [{ nodePort }] = (await cluster.get('service', 'behind', own.name)).spec.ports as [{ nodePort: number }];
    // The clients' own node: the pod is elsewhere, so this node masquerades what it forwards.
    const node = (await own.pod('client')).status.hostIP;
    const way = `tcp:${node}:${nodePort}`;
    const both = (outcome: string) =>
      Promise.all(['client', 'stranger'].map((pod) => own.asks(pod, { [way]: outcome })));
    await both('behind');
    // A podSelector does not match the node.
    await allowClients({ app: 'behind' });
    await both(first === second ? 'behind' : 'silent');
    await own.policy('clients', {
      podSelector: { matchLabels: { app: 'behind' } },
      ingress: [{ from: [{ ipBlock: { cidr: `${node}/32` } }] }],
    });
    await both('behind');
  });

  test('leads to pods that give different numbers to one port name', async () => {
    const named = (number: number) => ({
      labels: { app: 'named' },
      ports: [{ name: 'api', containerPort: number }],
      serve: ['tcp:8080', 'tcp:9090'],
    });
    await own.pods({ eighty: named(8080), ninety: named(9090) });
    const [eighty, ninety] = await Promise.all([own.addressOf('eighty'), own.addressOf('ninety')]);
    await own.policy('named', {
      podSelector: { matchLabels: { app: 'named' } },
      ingress: [{ ports: [{ port: 'api' }] }],
    });
    const expected = {
      [`tcp:${eighty}:8080`]: 'eighty',
      [`tcp:${eighty}:9090`]: 'silent',
      [`tcp:${ninety}:8080`]: 'silent',
      [`tcp:${ninety}:9090`]: 'ninety',
    };
    await own.asks('client', expected);
    await own.kubectl('delete', 'networkpolicy', 'named');
    await own.policy('egress', {
      podSelector: { matchLabels: { app: 'client' } },
      policyTypes: ['Egress'],
      egress: [{ ports: [{ port: 'api' }] }],
    });
    await own.asks('client', expected);
  });
});

describe('under a default-deny of the namespace', () => {
  const deny = { podSelector: {}, policyTypes: ['Ingress', 'Egress'] };

  test("the kubelet's probes reach its pods", async () => {
    await own.policy('deny', deny);
    const probe = { httpGet: { path: '/', port: 8081 }, periodSeconds: 1, failureThreshold: 1 };
    const container = { readinessProbe: probe, livenessProbe: { ...probe, failureThreshold: 3 } };
    await own.pods({ probed: { labels: { app: 'probed' }, serve: ['http:8081', 'tcp:8080'], container } });
    await own.asks('client', { [`tcp:${await own.addressOf('probed')}:8080`]: 'silent' });
    const conditions = (await own.pod('probed')).status.conditions as { type: string; status: string }[];
    expect(conditions.find(({ type }) => type === 'Ready')?.status).toBe('True');
    const [{ restartCount }] = (await own.pod('probed')).status.containerStatuses as [{ restartCount: number }];
    expect(restartCount).toBe(0);
  });

  test('with DNS allowed, A and AAAA at once through the Service are answered, every time', async () => {
    const dns = [
      { protocol: 'UDP', port: 53 },
      { protocol: 'TCP', port: 53 },
    ];
    const to = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } }];
    await own.policy('dns', { ...deny, egress: [{ to, ports: dns }] });
    await own.pods({ resolver: { labels: { app: 'resolver' }, node: second } });
    await own.asks('resolver', { [`tcp:${await own.addressOf('client')}:8080`]: 'silent' });
    const program = ['node', '/programs/resolve.ts', '50', 'kubernetes.default.svc.cluster.local'];
    const answers = JSON.parse(await own.kubectl('exec', 'resolver', '--', ...program));
    expect(answers).toEqual({ A: 50, AAAA: 50 });
  });
});

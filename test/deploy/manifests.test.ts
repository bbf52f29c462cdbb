import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type {
  V1ClusterRole,
  V1ClusterRoleBinding,
  V1Container,
  V1DaemonSet,
  V1Namespace,
  V1PodSpec,
  V1Service,
} from '@kubernetes/client-node';
import { describe, expect, it, test } from 'vitest';
import { parse } from 'yaml';
import { agentOptions } from '../../src/commands/agent/options.ts';
import { apiProblems } from './api-types.ts';
import { DAEMONSET, PROJECT } from './folders.ts';
import { hasKustomize, kustomized, NEEDS_KUSTOMIZE, patchedBase } from './kustomize.ts';
import { identity, installedObjects, type KubeObject } from './objects.ts';

const base = installedObjects();
const kind = kustomized('kind');
const OVERLAYS = [
  { folder: 'base', objects: base, isThere: true },
  { folder: `kind${NEEDS_KUSTOMIZE}`, objects: kind, isThere: hasKustomize },
];

function find<T>(objects: readonly KubeObject[], wanted: string): T {
  const object = objects.find((each) => identity(each) === wanted);
  if (object === undefined) throw new Error(`there is no ${wanted}`);
  return object as T;
}

function podSpec(objects: readonly KubeObject[]): V1PodSpec {
  const spec = find<V1DaemonSet>(objects, 'DaemonSet podfence-system/podfence').spec?.template.spec;
  if (spec === undefined || spec === null) throw new Error('the DaemonSet has no pods');
  return spec;
}

function agent(objects: readonly KubeObject[]): V1Container {
  const [container, ...others] = podSpec(objects).containers;
  if (container === undefined || others.length > 0) throw new Error('expected one container');
  return container;
}

const IN_BASE = [
  'ClusterRole /podfence',
  'ClusterRoleBinding /podfence',
  'DaemonSet podfence-system/podfence',
  'Namespace /podfence-system',
  'Service podfence-system/podfence',
  'ServiceAccount podfence-system/podfence',
];

describe.each(OVERLAYS)('the objects of daemonset/$folder', ({ objects, isThere }) => {
  const it = test.skipIf(!isThere);
  it('are valid in the API', () => {
    expect(objects.flatMap((object) => apiProblems(object).map((problem) => identity(object) + problem))).toEqual([]);
  });

  it('contain everything that an agent needs', () => {
    expect(objects.map(identity)).toEqual(expect.arrayContaining(IN_BASE));
  });
});

describe('daemonset/base', () => {
  it('has no more than an agent needs', () => {
    expect(base.map(identity).toSorted()).toEqual(IN_BASE);
  });

  it('lets the agent read pods, namespaces, nodes and policies, and nothing more', () => {
    const verbs = ['get', 'list', 'watch'];
    expect(find<V1ClusterRole>(base, 'ClusterRole /podfence').rules).toEqual([
      { apiGroups: [''], resources: ['namespaces', 'nodes', 'pods'], verbs },
      { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs },
    ]);
  });

  it('binds the role only to the agent’s account', () => {
    const binding = find<V1ClusterRoleBinding>(base, 'ClusterRoleBinding /podfence');
    expect(binding.roleRef).toEqual({ apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'podfence' });
    expect(binding.subjects).toEqual([{ kind: 'ServiceAccount', name: 'podfence', namespace: 'podfence-system' }]);
    expect(podSpec(base).serviceAccountName).toBe('podfence');
  });

  it('is admitted by pod security', () => {
    const labels = find<V1Namespace>(base, 'Namespace /podfence-system').metadata?.labels;
    expect(labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'privileged' });
  });

  it('gives the agent no privilege beyond administering the network', () => {
    expect(agent(base).securityContext).toEqual({
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
    });
    expect(podSpec(base).securityContext).toEqual({ seccompProfile: { type: 'RuntimeDefault' } });
    expect(podSpec(base).hostPID ?? podSpec(base).hostIPC ?? false).toBe(false);
  });

  it('mounts only the lock of iptables and the socket of the container runtime from the node', () => {
    expect(podSpec(base).volumes?.map(({ hostPath }) => hostPath)).toEqual([
      { path: '/run/xtables.lock', type: 'FileOrCreate' },
      { path: '/var/run/nri', type: 'DirectoryOrCreate' },
    ]);
    expect(agent(base).volumeMounts).toEqual([
      { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
      { name: 'nri', mountPath: '/var/run/nri' },
    ]);
  });

  it('runs on every node, before all others, on the network of the node', () => {
    const { hostNetwork, dnsPolicy, priorityClassName, tolerations, nodeSelector, affinity } = podSpec(base);
    expect({ hostNetwork, dnsPolicy, priorityClassName }).toEqual({
      hostNetwork: true,
      dnsPolicy: 'Default',
      priorityClassName: 'system-node-critical',
    });
    expect(tolerations).toEqual([{ operator: 'Exists' }]);
    expect(nodeSelector).toEqual({ 'kubernetes.io/os': 'linux' });
    expect(affinity).toBeUndefined();
  });

  it('updates one node after the other', () => {
    expect(find<V1DaemonSet>(base, 'DaemonSet podfence-system/podfence').spec?.updateStrategy).toEqual({
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 1, maxSurge: 0 },
    });
  });

  it('requests memory and a share of the CPU, and limits the memory', () => {
    const { requests, limits } = agent(base).resources ?? {};
    expect(Object.keys(requests ?? {})).toEqual(['cpu', 'memory']);
    expect(Object.keys(limits ?? {})).toEqual(['memory']);
  });

  it('probes the endpoints of the agent', () => {
    const { livenessProbe, readinessProbe } = agent(base);
    expect(livenessProbe?.httpGet).toEqual({ path: '/healthz', port: 'metrics' });
    expect(readinessProbe?.httpGet).toEqual({ path: '/readyz', port: 'metrics' });
  });

  it('serves, scrapes and probes the same port', () => {
    const { spec, metadata } = find<V1Service>(base, 'Service podfence-system/podfence');
    const port = agent(base).ports?.find(({ name }) => name === 'metrics')?.containerPort;
    const address = agent(base).env?.find(({ name }) => name === 'PODFENCE_METRICS_ADDRESS')?.value;
    expect(address).toBe(`:${port}`);
    expect(spec?.ports?.[0]).toMatchObject({ port, targetPort: 'metrics' });
    expect(metadata?.annotations?.['prometheus.io/port']).toBe(String(port));
  });

  it('selects its own pods', () => {
    const daemonSet = find<V1DaemonSet>(base, 'DaemonSet podfence-system/podfence').spec;
    const labels = daemonSet?.template.metadata?.labels;
    expect(labels).toMatchObject(daemonSet?.selector.matchLabels ?? { none: '' });
    expect(labels).toMatchObject(
      find<V1Service>(base, 'Service podfence-system/podfence').spec?.selector ?? { none: '' },
    );
  });

  it('has the version of the package', () => {
    const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'));
    expect(agent(base).image).toBe(`podfence:${version}`);
  });
});

describe('the settings of the agent', () => {
  const variables = new Map(agentOptions('host').map((option) => [option.envVar, option]));

  it('come from the node itself', () => {
    const fields = agent(base).env?.map(({ name, valueFrom }) => [name, valueFrom?.fieldRef?.fieldPath]);
    expect(fields).toContainEqual(['PODFENCE_NODE_NAME', 'spec.nodeName']);
    expect(fields).toContainEqual(['PODFENCE_NODE_ADDRESSES', 'status.hostIPs']);
  });

  it.for(OVERLAYS)('in daemonset/$folder have valid values', ({ objects, isThere }, { skip }) => {
    skip(!isThere);
    for (const { name, value } of agent(objects).env ?? []) {
      const option = variables.get(name);
      expect(option, name).toBeDefined();
      if (value !== undefined) expect(() => option?.parseArg?.(value, undefined), `${name}=${value}`).not.toThrow();
    }
  });

  it('take the addresses of a dual-stack node as the downward API gives them', () => {
    const parse = variables.get('PODFENCE_NODE_ADDRESSES')?.parseArg;
    expect(parse?.('192.168.1.1,fd00::1', undefined)).toEqual(['192.168.1.1', 'fd00::1']);
  });

  it('have existing names wherever daemonset/ mentions them', () => {
    const files = readdirSync(DAEMONSET, { recursive: true, encoding: 'utf8' }).filter((file) => /\.\w+$/.test(file));
    const named = files.flatMap((file) => readFileSync(join(DAEMONSET, file), 'utf8').match(/PODFENCE_\w+/g) ?? []);
    expect(new Set(named).difference(new Set(variables.keys()))).toEqual(new Set());
  });
});

describe.skipIf(!hasKustomize)(`daemonset/kind${NEEDS_KUSTOMIZE}`, () => {
  const cluster = parse(readFileSync(join(DAEMONSET, 'kind', 'cluster.yaml'), 'utf8'));
  const kindnet = () => find<V1DaemonSet>(kind, 'DaemonSet kube-system/kindnet').spec?.template.spec?.containers[0];

  it('runs the image that was built here and never pulls it', () => {
    expect(agent(kind)).toMatchObject({ image: 'podfence:dev', imagePullPolicy: 'Never' });
  });

  it('changes nothing else of the agent in the base', () => {
    const { image, imagePullPolicy, ...rest } = agent(kind);
    const { image: _image, imagePullPolicy: _policy, ...baseRest } = agent(base);
    expect(rest).toEqual(baseRest);
  });

  it('has three nodes and no enforcer of its own', () => {
    expect(cluster.nodes.map(({ role }: { role: string }) => role)).toEqual(['control-plane', 'worker', 'worker']);
    expect(cluster.networking.disableDefaultCNI).toBe(true);
    expect(kindnet()?.image).toBe('kindest/kindnetd:v20230809-80a64d96');
  });

  it('masquerades nothing within the network of the pods', () => {
    expect(kindnet()?.env).toContainEqual({ name: 'POD_SUBNET', value: cluster.networking.podSubnet });
  });
});

describe.skipIf(!hasKustomize)(`removal.yaml${NEEDS_KUSTOMIZE}`, () => {
  const patched = patchedBase('removal.yaml').filter((object) => object.kind === 'DaemonSet');

  it('makes a valid DaemonSet of the running one', () => {
    expect(patched.length).toBe(1);
    expect(patched.flatMap(apiProblems)).toEqual([]);
  });

  it('cleans up with the same image and privileges, instead of the agent', () => {
    const { image, command, args, livenessProbe, readinessProbe, securityContext } = agent(patched);
    expect(image).toBe(agent(base).image);
    expect(securityContext).toEqual(agent(base).securityContext);
    expect(args ?? livenessProbe).toBeUndefined();
    expect(command?.join(' ')).toContain('podfence cleanup && ');
    expect(readinessProbe?.httpGet).toBeUndefined();
    expect(readinessProbe?.exec?.command?.at(-1)).toBe('/dev/shm/podfence-removed');
  });
});

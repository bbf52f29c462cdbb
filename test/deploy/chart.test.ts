/** The chart as Helm renders it. */

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settings } from '../../daemonset/generate/settings.ts';
import { apiProblems } from './api-types.ts';
import { DAEMONSET } from './folders.ts';
import { Helm } from './helm.ts';
import { hasKustomize, kustomized, NEEDS_KUSTOMIZE } from './kustomize.ts';
import { byIdentity, type KubeObject, parseObjects } from './objects.ts';

const CHART = join(DAEMONSET, 'chart');
const NAMESPACE = 'podfence-system';

describe.skipIf(!Helm.isThere)(Helm.isThere ? 'The Helm chart' : 'The Helm chart (needs helm)', () => {
  let helm: Helm;
  beforeAll(() => {
    helm = new Helm();
  });
  afterAll(() => helm[Symbol.dispose]());

  const template = (...flags: readonly string[]) => helm.run('template', 'podfence', CHART, '-n', NAMESPACE, ...flags);

  function render(...flags: readonly string[]): readonly KubeObject[] {
    const { code, stdout, stderr } = template(...flags);
    if (code !== 0) throw new Error(stderr);
    return parseObjects(stdout);
  }

  const sorted = (objects: readonly KubeObject[]) => byIdentity(objects.filter(({ kind }) => kind !== 'Namespace'));
  const inFolder = (name: string) => sorted(kustomized(name));
  const withKustomize = it.skipIf(!hasKustomize);

  function variables(objects: readonly KubeObject[]): Readonly<Record<string, unknown>> {
    const daemonSet = objects.find(({ kind }) => kind === 'DaemonSet') as unknown as {
      spec: { template: { spec: { containers: { env: { name: string; value?: string; valueFrom?: object }[] }[] } } };
    };
    const [agent] = daemonSet.spec.template.spec.containers;
    const names = agent?.env.map(({ name }) => name) ?? [];
    expect(new Set(names).size, 'a variable comes twice').toBe(names.length);
    return Object.fromEntries(agent?.env.map(({ name, value, valueFrom }) => [name, value ?? valueFrom]) ?? []);
  }

  withKustomize(`gives the objects of daemonset/base but the namespace, which is Helm’s${NEEDS_KUSTOMIZE}`, () => {
    expect(sorted(render())).toEqual(inFolder('base'));
  });

  withKustomize(`goes to another namespace as a whole${NEEDS_KUSTOMIZE}`, () => {
    const moved = JSON.parse(JSON.stringify(inFolder('base')).replaceAll(NAMESPACE, 'network'));
    expect(sorted(render('-n', 'network'))).toEqual(moved);
  });

  withKustomize(`gives those of daemonset/startup-taint with that setting${NEEDS_KUSTOMIZE}`, () => {
    const objects = sorted(render('--set', 'settings.startup-taint=podfence.io/agent-not-ready'));
    const withoutPods = (all: readonly KubeObject[]) => all.filter(({ kind }) => kind !== 'DaemonSet');
    expect(withoutPods(objects)).toEqual(withoutPods(inFolder('startup-taint')));
    expect(variables(objects)).toEqual(variables(inFolder('startup-taint')));
  });

  withKustomize(`gives those of daemonset/monitored with prometheusOperator${NEEDS_KUSTOMIZE}`, () => {
    expect(sorted(render('--set', 'prometheusOperator=true'))).toEqual(inFolder('monitored'));
  });

  it('renders every setting in the form in which the agent reads it', () => {
    const given: Readonly<Record<string, { set: string; text: string }>> = {
      'flow-capacity': { set: '16777216', text: '16777216' },
      'node-addresses': { set: '{10.0.0.1,fd00::1}', text: '10.0.0.1,fd00::1' },
      manifests: { set: 'a\\,b', text: 'a,b' },
      'mark-mask': { set: '0x300', text: '0x300' },
      offload: { set: 'false', text: 'false' },
      'metrics-address': { set: ':9999', text: ':9999' },
      'query-address': { set: '127.0.0.1:900', text: '127.0.0.1:900' },
      nri: { set: '/run/nri.sock', text: '/run/nri.sock' },
      'startup-taint': { set: 'a/b', text: 'a/b' },
    };
    const cases = settings().map((option) => {
      const name = option.name();
      const plain =
        option.argChoices?.[0] ?? (/<(yesno|count|number|flows|seconds)>/.test(option.flags) ? '1' : 'some');
      const { set, text } = given[name] ?? { set: option.flags.includes('<yesno>') ? 'yes' : plain, text: '' };
      return { name, set, text: text || set, option };
    });
    const objects = render(...cases.flatMap(({ name, set }) => ['--set', `settings.${name}=${set}`]));
    const env = variables(objects);
    expect(env).toEqual(Object.fromEntries(cases.map(({ text, option }) => [option.envVar, text])));
    for (const { option } of cases) {
      expect(() => option.parseArg?.(String(env[option.envVar ?? '']), undefined), option.name()).not.toThrow();
    }
  });

  it('renders numbers, booleans and lists as the agent reads them', () => {
    const json = JSON.stringify({
      'flow-capacity': 1048576,
      offload: false,
      adopt: 60,
      'node-addresses': ['10.0.0.1'],
    });
    const env = variables(render('--set-json', `settings=${json}`));
    expect(env).toMatchObject({
      PODFENCE_FLOW_CAPACITY: '1048576',
      PODFENCE_OFFLOAD: 'false',
      PODFENCE_ADOPT: '60',
      PODFENCE_NODE_ADDRESSES: '10.0.0.1',
    });
  });

  it('moves the port of the probes and of the Service with the address of the metrics', () => {
    const objects = render('--set', 'settings.metrics-address=:9999');
    const text = JSON.stringify(objects);
    expect(text).toContain('"containerPort":9999,"hostPort":9999');
    expect(text).toContain('"prometheus.io/port":"9999"');
    expect(text).toContain('"port":9999,"targetPort":"metrics"');
    expect(text).not.toContain('9464');
  });

  it('renders valid objects with all other values', () => {
    const objects = render(
      ...['--set', 'image.repository=registry.example.com/podfence,image.tag=1.2.3,image.pullPolicy=Always'],
      ...['--set', 'imagePullSecrets[0].name=registry,priorityClassName=high,podLabels.team=network'],
      ...['--set-string', 'podAnnotations.a=1,nodeSelector.pool=a'],
      ...['--set-json', 'tolerations=[{"key":"a","operator":"Exists"}]'],
      ...['--set-json', 'extraVolumes=[{"name":"c","configMap":{"name":"c"}}]'],
      ...['--set-json', 'extraVolumeMounts=[{"name":"c","mountPath":"/etc/podfence"}]'],
      ...[
        '--set-json',
        'resources={"limits":{"memory":"2Gi"}},updateStrategy={"type":"OnDelete","rollingUpdate":null}',
      ],
    );
    expect(objects.flatMap(apiProblems)).toEqual([]);
    const text = JSON.stringify(objects.find(({ kind }) => kind === 'DaemonSet'));
    for (const part of [
      '"image":"registry.example.com/podfence:1.2.3","imagePullPolicy":"Always"',
      '"imagePullSecrets":[{"name":"registry"}]',
      '"priorityClassName":"high"',
      '"team":"network"',
      '"tolerations":[{"key":"a","operator":"Exists"}]',
      '"mountPath":"/etc/podfence"',
      '"configMap":{"name":"c"}',
      '"memory":"2Gi"',
      '"updateStrategy":{"type":"OnDelete"}',
    ]) {
      expect(text).toContain(part);
    }
  });

  it.each([
    ['a setting that there is not', ['settings.fial=open'], "'fial'"],
    ['a value that there is not', ['setings.fail=open'], "'setings'"],
    ['a wrong choice', ['settings.deny=bounce'], "'drop', 'reject'"],
    ['a string for a number', ['settings.queues=two'], 'got string, want integer'],
    ['a number that is too great', ['settings.queues=65'], '64'],
    ['an address that no probe can reach', ['settings.metrics-address=127.0.0.1:9464'], 'does not match pattern'],
    ['a wrong type beside the settings', ['image.pullPolicy=Sometimes'], "'IfNotPresent'"],
    ['a list for an object', ['resources={a}'], 'want object'],
  ])('refuses %s, by its name', (_, values, words) => {
    const { code, stderr } = template('--set', values.join(','));
    expect(code).not.toBe(0);
    expect(stderr).toContain(words);
    expect(stderr).toContain(values[0]?.split(/[.=]/).at(values[0].startsWith('settings.') ? 1 : 0));
  });

  it('says how to check that it enforces, and how to remove it without a trace', () => {
    const notes = (...flags: readonly string[]) => {
      const { code, stdout, stderr } = helm.run(
        'install',
        'podfence',
        CHART,
        '-n',
        NAMESPACE,
        '--dry-run=client',
        ...flags,
      );
      if (code !== 0) throw new Error(stderr);
      return stdout.slice(stdout.indexOf('NOTES:'));
    };
    const enforcing = notes('--set', 'image.repository=r.example/p,settings.metrics-address=:9999');
    expect(enforcing).toContain('kubectl -n podfence-system rollout status daemonset podfence');
    expect(enforcing).toContain('curl localhost:9999/readyz');
    expect(enforcing).toMatch(/sed 's\|podfence:dev\|r\.example\/p:[\d.]+\|' examples\/try\.yaml/);
    expect(enforcing).toContain('helm -n podfence-system uninstall podfence');
    const auditing = notes('--set', 'settings.mode=audit');
    expect(auditing).toContain('It audits: nothing is denied.');
    expect(auditing).toContain('kubectl -n podfence-system port-forward daemonset/podfence 9465');
  });

  it('passes helm lint', () => {
    const { code, stdout } = helm.run('lint', '--strict', CHART);
    expect(stdout).toContain('0 chart(s) failed');
    expect(code).toBe(0);
  });
});

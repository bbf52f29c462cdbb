/**
 * install.yaml and the chart are generated from daemonset/base and the agent's settings, and are up
 * to date.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { replace } from '../../daemonset/generate/base.ts';
import { generatedFiles } from '../../daemonset/generate/generated-files.ts';
import { settings } from '../../daemonset/generate/settings.ts';
import { apiProblems } from './api-types.ts';
import { DAEMONSET } from './folders.ts';
import { type Schema, schemaProblems } from './json-schema.ts';
import { hasKustomize, kustomized, NEEDS_KUSTOMIZE } from './kustomize.ts';
import { byIdentity, identity, installedObjects } from './objects.ts';

const generated = generatedFiles();
const read = (path: string) => readFileSync(join(DAEMONSET, path), 'utf8');

describe('files generated from daemonset/base', () => {
  it.each([...generated.keys()])('daemonset/%s is as `npm run manifests` generates it', (path) => {
    expect(read(path)).toBe(generated.get(path));
  });

  it('are all files of the chart', () => {
    const files = readdirSync(join(DAEMONSET, 'chart'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(DAEMONSET.length + 1));
    expect(files.toSorted()).toEqual([...generated.keys()].filter((path) => path.startsWith('chart/')).toSorted());
  });

  it('cannot be generated if the chart replaces text that base lacks', () => {
    expect(() => replace('base/x.yaml', 'a: 1\n', 'b: 1', 'c')).toThrow('daemonset/base/x.yaml has "b: 1" 0 times');
    expect(() => replace('base/x.yaml', 'a: 1\na: 1\n', 'a: 1', 'c')).toThrow('2 times, and the generator expects 1');
  });
});

describe('daemonset/install.yaml', () => {
  it.skipIf(!hasKustomize)(`has the objects of daemonset/base${NEEDS_KUSTOMIZE}`, () => {
    expect(byIdentity(installedObjects())).toEqual(kustomized('base'));
  });

  it('begins with the namespace of the other objects', () => {
    expect(installedObjects()[0]?.kind).toBe('Namespace');
  });
});

describe.skipIf(!hasKustomize)(`daemonset/startup-taint${NEEDS_KUSTOMIZE}`, () => {
  const objects = kustomized('startup-taint');
  const base = kustomized('base');
  const added = objects.filter((object) => !base.some((other) => identity(other) === identity(object)));

  it('is the base with one setting, and a role of its own that may get and patch nodes', () => {
    expect(objects.flatMap(apiProblems)).toEqual([]);
    expect(added).toMatchObject([
      { kind: 'ClusterRole', rules: [{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'patch'] }] },
      { kind: 'ClusterRoleBinding', roleRef: { name: 'podfence-startup-taint' } },
    ]);
    const [agent, baseAgent] = [objects, base].map((all) =>
      JSON.stringify(all.find(({ kind }) => kind === 'DaemonSet')),
    );
    const setting = '{"name":"PODFENCE_STARTUP_TAINT","value":"podfence.io/agent-not-ready"},';
    expect(agent?.replace(setting, '')).toBe(baseAgent);
  });
});

describe('the schema of the chart', () => {
  const schema = JSON.parse(read('chart/values.schema.json')) as Schema;
  const problems = (values: object) => schemaProblems(values, schema);
  const withSetting = (name: string, value: unknown) => problems({ settings: { [name]: value } });

  it('accepts the chart’s default values', () => {
    const values = parse(read('chart/values.yaml'));
    expect(problems(values)).toEqual([]);
    // The schema has every default value, and nothing beyond them but Helm's `global`.
    const { properties } = schema as { properties: object };
    expect(Object.keys(properties).filter((name) => name !== 'global')).toEqual(
      expect.arrayContaining(Object.keys(values)),
    );
    expect(Object.keys(values).length).toBe(Object.keys(properties).length - 1);
  });

  it('has every setting of the agent, by its name', () => {
    const { properties } = (schema as { properties: { settings: { properties: object } } }).properties.settings;
    expect(Object.keys(properties)).toEqual(settings().map((option) => option.name()));
  });

  it('refuses an unknown setting and an unknown value', () => {
    expect(withSetting('fial', 'open')).toEqual(['.settings.fial: is not known']);
    expect(problems({ setings: {} })).toEqual(['.setings: is not known']);
  });

  /** Values of every kind, valid and invalid. */
  const VALUES = [
    ...[
      'auto',
      'enforce',
      'audit',
      'nftables',
      'open',
      'closed',
      'drop',
      'reject',
      'debug',
      'yes',
      'no',
      'true',
      'false',
      '',
      'ajar',
    ],
    ...[true, false, -1, 0, 1, 64, 65, 3600, 3601, 65_471, 65_472, 16_777_216, 16_777_217, 0.5, 0x3000000],
    ...['0x3000000', ':9464', '127.0.0.1:9464', '10.0.0.1,fd00::1', 'podfence.io/agent-not-ready', 'off'],
  ];

  it.each(settings().map((option) => [option.name(), option] as const))(
    'accepts for %s what the agent accepts',
    (name, option) => {
      const isTaken = (value: unknown) => {
        try {
          option.parseArg?.(String(value), undefined);
          return true;
        } catch {
          return false;
        }
      };
      // The chart passes a string on unchanged, so it covers what is neither number nor boolean.
      const refused = VALUES.filter((value) => withSetting(name, value).length > 0);
      const isTyped = refused.filter((value) => isTaken(value) && typeof value === 'string');
      // The kubelet's probes cannot reach it there.
      const noProbe = name === 'metrics-address' ? ['127.0.0.1:9464'] : [];
      expect(isTyped, 'the schema refuses what the agent takes').toEqual(noProbe);
      const isNumberOrChoice =
        option.argChoices !== undefined || /<(yesno|count|number|flows|seconds)>/.test(option.flags);
      const taken = VALUES.filter((value) => !refused.includes(value));
      expect(taken.length, 'the schema takes nothing').toBeGreaterThan(0);
      if (isNumberOrChoice)
        expect(
          taken.filter((value) => !isTaken(value)),
          'the schema takes what the agent refuses',
        ).toEqual([]);
    },
  );
});

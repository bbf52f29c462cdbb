import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lint } from '../../src/lint/lint.ts';
import { RULE_NAMES, ruleOf } from '../../src/lint/rules.ts';
import { loadManifests } from '../../src/manifests/load.ts';
import { folderOf } from '../manifests/manifest-files.ts';
import { FILES, readCases, snapshotOf } from '../policy/conformance-cases.ts';
import { app, findingsOf, lintAll, namespace, pod, policy } from './linted.ts';

const ROOT = join(import.meta.dirname, '../..');
const MISTAKES = join(import.meta.dirname, 'mistakes');

async function lintPaths(...paths: readonly string[]) {
  return lint(await loadManifests(paths, { minReplicas: 1 }));
}

describe('the folder of mistakes', () => {
  it('has a finding of every rule at its place, except for rules about whole files', async () => {
    const { findings } = await lintPaths(MISTAKES);
    const found = findings.map(({ file, line, column, code, severity }) => {
      return `${file.slice(MISTAKES.length + 1)}:${line}:${column} ${code} ${severity}`;
    });
    expect(found).toEqual([
      'effects.yaml:10:7 PF401 warning',
      'effects.yaml:13:1 PF402 warning',
      'effects.yaml:28:3 PF403 warning',
      'fields.yaml:7:5 PF101 error',
      'fields.yaml:9:3 PF101 error',
      'fields.yaml:14:21 PF101 error',
      'fields.yaml:25:5 PF102 error',
      'fields.yaml:30:17 PF102 error',
      'fields.yaml:31:11 PF102 error',
      'fields.yaml:34:17 PF103 error',
      'modes.yaml:7:23 PF405 info',
      'modes.yaml:10:3 PF406 warning',
      'modes.yaml:20:23 PF103 warning',
      'open.yaml:2:1 PF404 info',
      'ports.yaml:11:17 PF301 warning',
      'ports.yaml:12:17 PF301 info',
      'ports.yaml:13:34 PF301 warning',
      'ports.yaml:14:17 PF302 warning',
      'ports.yaml:15:17 PF302 warning',
      'ports.yaml:23:3 PF303 warning',
      'selectors.yaml:6:3 PF201 warning',
      'selectors.yaml:17:11 PF202 warning',
      'selectors.yaml:18:11 PF202 warning',
      'selectors.yaml:19:11 PF202 warning',
      'selectors.yaml:21:11 PF202 warning',
      'selectors.yaml:32:11 PF203 warning',
      'selectors.yaml:42:28 PF204 warning',
      'selectors.yaml:43:71 PF205 warning',
      'selectors.yaml:44:51 PF205 warning',
      'selectors.yaml:47:28 PF206 hint',
      'selectors.yaml:49:28 PF207 warning',
    ]);
    const missing = RULE_NAMES.filter((rule) => !findings.some((finding) => finding.rule === rule));
    expect(missing).toEqual(['unreadable', 'replaced-object', 'no-object', 'refused-policy']);
  });
});

describe('a policy that asks for more of the rule table than it may have', () => {
  const holesFor = (count: number, which: number) => ({
    ingress: Array.from({ length: count }, (_, i) => ({
      from: [{ ipBlock: { cidr: '20.0.0.0/8', except: [`20.${which}.${i >> 8}.${i & 255}/32`] } }],
      ports: [{ port: 600 * which + 2 * i + 1 }],
    })),
  });
  const holes = (count: number) => policy(holesFor(count, 0));

  it('is refused, as by the agent', async () => {
    expect(await findingsOf('refused-policy', [holes(5000)])).toEqual([
      expect.stringMatching(
        /^error : its ipBlocks ask for more than [\d,]+ words of the rule table \| Unless it is audited, podfence isolates/,
      ),
    ]);
  });

  it('is reported if it asks for too much only together with others of the same pods', async () => {
    const several = Array.from({ length: 6 }, (_, i) => policy(holesFor(300, i), { name: `p${i}` }));
    const found = await findingsOf('refused-policy', [pod('shop/web'), ...several]);
    expect(found).toHaveLength(6);
    expect(found[0]).toMatch(/^error : its ipBlocks, together with those of other policies .* \| Use fewer blocks/);
    expect(await findingsOf('refused-policy', [pod('shop/web'), ...several.slice(0, 2)])).toEqual([]);
  });

  it('is reported if its blocks lie inside those of another policy, and open the ports of both', async () => {
    const blocks = Array.from({ length: 400 }, (_, i) => ({
      from: [{ ipBlock: { cidr: `20.0.${i >> 8}.${i & 255}/32` } }],
      ports: [{ port: 30_001 + 2 * i }],
    }));
    const ports = Array.from({ length: 4000 }, (_, i) => ({ port: 2 * i + 1 }));
    const around = { ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0' } }], ports }] };
    const both = [policy({ ingress: blocks }, { name: 'a' }), policy(around, { name: 'b' })];
    expect(await findingsOf('refused-policy', [pod('shop/web'), ...both])).toHaveLength(2);
  });

  it('is not refused if it asks for less', async () => {
    expect(await findingsOf('refused-policy', [holes(100)])).toEqual([]);
  });
});

describe('nothing is reported for correct manifests', () => {
  const important = ({ findings }: Awaited<ReturnType<typeof lintPaths>>) =>
    findings
      .filter(({ severity }) => severity !== 'info')
      .map(({ rule, object, message }) => `${rule} ${object} ${message}`);

  it('examples, with their applications and without', async () => {
    for (const path of ['examples/three-tier', 'examples/three-tier/policies', 'examples']) {
      expect(important(await lintPaths(join(ROOT, path)))).toEqual([]);
    }
  });

  it('the policies in the Kubernetes documentation', async () => {
    const documented = policy(
      {
        podSelector: { matchLabels: { role: 'db' } },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [
          {
            from: [
              { ipBlock: { cidr: '172.17.0.0/16', except: ['172.17.1.0/24'] } },
              { namespaceSelector: { matchLabels: { project: 'myproject' } } },
              { podSelector: { matchLabels: { role: 'frontend' } } },
            ],
            ports: [{ protocol: 'TCP', port: 6379 }],
          },
        ],
        egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/24' } }], ports: [{ protocol: 'TCP', port: 5978 }] }],
      },
      { namespace: 'default' },
    );
    expect((await lintAll([documented])).findings).toEqual([]);
  });

  it.skipIf(FILES.length === 0)('the recipes, in clusters (needs the files in PODFENCE_CONFORMANCE)', () => {
    const steps = readCases('recipes.jsonl.gz').flatMap((each) => each.steps.map((step) => ({ ...each, step })));
    for (const { description, step } of steps) {
      const { findings, notes } = lint({ snapshot: snapshotOf(step) });
      // One recipe selects pods that its cluster does not have.
      const others = findings.filter(
        ({ rule, object }) => rule !== 'selects-no-pod' || !object.includes('foo-deny-external'),
      );
      expect([description, ...important({ findings: others, notes })]).toEqual([description]);
    }
    expect(steps.length).toBeGreaterThan(10);
  });
});

describe('incomplete manifests', () => {
  it('without pods have no findings about pods, and a note says so once', async () => {
    const { findings, notes } = await lintAll([policy({ ...app('web'), ingress: [{ ports: [{ port: 'http' }] }] })]);
    expect(findings).toEqual([]);
    expect(notes).toEqual([expect.stringMatching(/^There are no pods .*PF201, PF202, PF301, PF302, PF404/)]);
  });

  it('without policies have no such note', async () => {
    expect((await lintAll([namespace('shop')])).notes).toEqual([]);
  });

  it('have no findings about the meaning of an unreadable policy', async () => {
    const { findings } = await lintAll([pod('shop/web'), policy({ ...app('wbe'), ingres: [] })]);
    expect(findings.map(({ rule }) => rule)).toEqual(['unknown-field']);
  });
});

describe('the annotation podfence.io/lint-ignore', () => {
  const selecting = (ignored: string) => [
    pod('shop/web'),
    policy({ ...app('wbe') }, { annotations: { 'podfence.io/lint-ignore': ignored } }),
  ];

  it.each(['PF201', 'selects-no-pod', 'PF303, PF201', 'all'])('%s switches the rule off', async (ignored) => {
    expect(await findingsOf('selects-no-pod', selecting(ignored))).toEqual([]);
  });

  it('leaves other rules on', async () => {
    expect(await findingsOf('selects-no-pod', selecting('PF202'))).toHaveLength(1);
  });
});

describe('what cannot be read', () => {
  const kinds = async (text: string) => {
    const { problems } = await loadManifests(['-'], {
      stdin: (async function* () {
        yield text;
      })(),
    });
    return lint({ snapshot: { namespaces: [], pods: [], policies: [] }, problems }).findings.map(
      ({ code, severity, line, column }) => `${code} ${severity} ${line}:${column}`,
    );
  };
  const HEAD = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: p }\n';

  it.each<[string, string, string[]]>([
    ['YAML that does not parse', `${HEAD}spec: {podSelector: [}`, ['PF100 error 4:22']],
    ['a misspelt field', `${HEAD}spec:\n  podSelektor: {}\n`, ['PF101 error 5:3']],
    ['a field in the wrong place', `${HEAD}spec:\n  podSelector: {}\n  ports: []\n`, ['PF102 error 6:3']],
    ['a wrong value', `${HEAD}spec: { podSelector: {}, policyTypes: [In] }\n`, ['PF103 error 4:40']],
    [
      'a policy twice',
      `${HEAD}spec: { podSelector: {} }\n---\n${HEAD}spec: { podSelector: {} }\n`,
      ['PF104 warning 6:1'],
    ],
    ['a document that is no object', 'a: 1\n', ['PF105 info 1:1']],
    ['a policy that is right', `${HEAD}spec: { podSelector: {} }\n`, []],
  ])('%s', async (_, text, expected) => {
    expect(await kinds(text)).toEqual(expected);
  });

  it('is only an info if kustomize puts one folder’s object over another’s', async () => {
    const text = `${HEAD}spec: { podSelector: {} }\n`;
    const severities = async (files: Readonly<Record<string, string>>) => {
      await using folder = await folderOf(files);
      const { findings } = await lintPaths(folder.path);
      return findings.filter(({ rule }) => rule === 'replaced-object').map(({ severity }) => severity);
    };
    const both = { 'base/web.yaml': text, 'overlays/prod/patch.yaml': text };
    expect(await severities(both)).toEqual(['warning']);
    for (const kustomization of ['base/kustomization.yaml', 'overlays/prod/Kustomization']) {
      expect(await severities({ ...both, [kustomization]: 'resources: []\n' })).toEqual(['info']);
    }
    const one = { 'base/a.yaml': text, 'base/b.yaml': text, 'base/kustomization.yaml': 'resources: []\n' };
    expect(await severities(one)).toEqual(['warning']);
  });

  it('is only an info for duplicates of other kinds, which may belong to different environments', async () => {
    const text = '{ apiVersion: v1, kind: Namespace, metadata: { name: a } }\n';
    expect(await kinds(`${text}---\n${text}`)).toEqual(['PF104 info 3:1']);
  });
});

it('codes are unique, ascend, and every rule has a test that names it', () => {
  const codes = RULE_NAMES.map((name) => ruleOf(name).code);
  expect(codes).toEqual([...new Set(codes)].sort());
  const tests = readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'))
    .join('\n');
  for (const name of RULE_NAMES)
    expect([name, tests.includes(`'${name}'`) || tests.includes(ruleOf(name).code)]).toEqual([name, true]);
});

import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fixFiles } from '../../src/commands/lint/fix.ts';
import { sarifLog } from '../../src/commands/lint/sarif.ts';
import { findingOf } from '../../src/lint/finding.ts';
import { podfence } from './podfence.ts';

const POLICY = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: web, namespace: shop }\n';
const RIGHT = `${POLICY}spec: { podSelector: {} }\n`;
const MISSPELT = `${POLICY}spec:\n  podSelector: {}\n  policyType: [Ingress] # only\n`;
const USELESS = `${POLICY}spec: { podSelector: {}, policyTypes: [Ingress], egress: [{}] }\n`;
const PODS = '---\n{ apiVersion: v1, kind: Pod, metadata: { name: web, namespace: shop }, spec: {} }\n';
const OPEN = '---\n{ apiVersion: v1, kind: Pod, metadata: { name: web, namespace: elsewhere }, spec: {} }\n';

/** Writes a file into a folder of its own, which `using` removes. */
function manifest(text: string, name = 'web.yaml'): Disposable & { readonly folder: string; readonly file: string } {
  const folder = mkdtempSync(join(tmpdir(), 'podfence-lint-'));
  const file = join(folder, name);
  writeFileSync(file, text);
  return { folder, file, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

describe('podfence lint', () => {
  it('prints nothing if nothing is wrong', async () => {
    expect(await podfence(['lint', '-'], RIGHT + PODS)).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('says once that there are no pods to look at', async () => {
    const { code, stdout, stderr } = await podfence(['lint', '-'], RIGHT);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(/^There are no pods or workloads [^\n]*\n$/);
  });

  it('prints place, severity, code, object and hint, and exits with 1', async () => {
    using wrong = manifest(MISSPELT + PODS);
    const { code, stdout } = await podfence(['lint', '--manifests', wrong.folder]);
    expect(code).toBe(1);
    expect(stdout).toBe(
      [
        `${wrong.file}:6:3  error  PF101 unknown-field  NetworkPolicy shop/web`,
        '    spec.policyType: unknown field "policyType". Did you mean policyTypes?',
        '    The policy fails closed: every pod of namespace shop stays isolated for ingress and egress, and it allows nothing.',
        '',
        '1 error; --fix can correct 1 of them',
        '',
      ].join('\n'),
    );
  });

  it('counts infos, and shows them with --info', async () => {
    const { stdout } = await podfence(['lint', '-'], USELESS + PODS + OPEN);
    expect(stdout).toMatch(/PF403/);
    expect(stdout).toMatch(/\n\n1 warning; 1 more with --info\n$/);
    expect((await podfence(['lint', '--info', '-'], RIGHT + PODS + OPEN)).stdout).toMatch(/info {2}PF404/);
  });

  it('fails from the given severity on', async () => {
    const run = async (failOn: string) => (await podfence(['lint', '--fail-on', failOn, '-'], USELESS + PODS)).code;
    expect([await run('error'), await run('warning'), await run('never')]).toEqual([0, 1, 0]);
  });

  it('exits with 2 if something cannot be read, and says what', async () => {
    const { code, stdout } = await podfence(['lint', '/nowhere/k8s']);
    expect(code).toBe(2);
    expect(stdout).toMatch(/^\/nowhere\/k8s {2}error {2}PF100 unreadable\n {4}there is no such file or folder\n/);
    expect((await podfence(['lint'])).code).toBe(2);
    expect((await podfence(['lint', '--pod-range', '10.0.0.0', '-'], RIGHT)).code).toBe(2);
  });

  it('exits with 2 if a document does not parse, though the rest is checked', async () => {
    const { code, stdout } = await podfence(['lint', '-'], `${USELESS}---\na: [\n`);
    expect(code).toBe(2);
    expect(stdout).toMatch(/PF403(?:.|\n)*PF100/);
    expect((await podfence(['lint', '-'], '{{- if .Values.x }}\nkind: Pod\n{{- end }}\n')).code).toBe(2);
  });

  it('prints one JSON object', async () => {
    const { code, stdout } = await podfence(['lint', '--json', '-'], USELESS + PODS);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      findings: [
        {
          code: 'PF403',
          rule: 'ignored-rules',
          severity: 'warning',
          file: '-',
          line: 4,
          column: 50,
          object: 'NetworkPolicy shop/web',
          field: 'spec.egress',
        },
      ],
      fixed: [],
      notes: [],
      counts: { error: 0, warning: 1, hint: 0, info: 0 },
    });
  });
});

describe('podfence lint --fix', () => {
  it('corrects the file, leaves the rest unchanged, and shows what it changed', async () => {
    using wrong = manifest(`\ufeff${MISSPELT}${PODS}`);
    const { code, stdout } = await podfence(['lint', '--fix', wrong.file]);
    expect(readFileSync(wrong.file, 'utf8')).toBe(`\ufeff${MISSPELT.replace('policyType', 'policyTypes')}${PODS}`);
    expect(stdout).toBe(
      [
        `${wrong.file}:6:3  fixed  PF101 unknown-field  NetworkPolicy shop/web  "policyType" becomes "policyTypes"`,
        '  6 -   policyType: [Ingress] # only',
        '  6 +   policyTypes: [Ingress] # only',
        '',
      ].join('\n'),
    );
    expect(code).toBe(0);
  });

  it('replaces the file with a new one of the same mode, also behind a link', async () => {
    using wrong = manifest(MISSPELT + PODS);
    const link = join(wrong.folder, 'link.yaml');
    symlinkSync(wrong.file, link);
    chmodSync(wrong.file, 0o640);
    const before = statSync(wrong.file);
    expect((await podfence(['lint', '--fix', link])).code).toBe(0);
    const after = statSync(wrong.file);
    expect(after.mode & 0o777).toBe(0o640);
    expect(after.ino).not.toBe(before.ino);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readdirSync(wrong.folder)).toEqual(['link.yaml', 'web.yaml']);
  });

  it('goes on after a file that it could not correct, and lists the files that it corrected', async () => {
    using folder = manifest(MISSPELT, 'a.yaml');
    const [gone, last] = [join(folder.folder, 'gone.yaml'), join(folder.folder, 'last.yaml')];
    writeFileSync(last, MISSPELT);
    const { fixed, failed } = await fixFiles(
      [folder.file, gone, last].map((file) => ({
        ...{ file, line: 6, column: 3, object: '', field: '', message: '', severity: 'error' as const },
        fix: { summary: '', field: '', edits: [] },
      })),
    );
    expect(fixed.map(({ file }) => file)).toEqual([folder.file, last]);
    expect(failed).toEqual([{ file: gone, reason: expect.stringMatching(/^ENOENT/) }]);
  });

  it('writes no file without a certain correction', async () => {
    const text = USELESS + PODS;
    using wrong = manifest(text);
    const { code, stdout } = await podfence(['lint', '--fix', '--json', wrong.file]);
    expect([code, readFileSync(wrong.file, 'utf8')]).toEqual([1, text]);
    expect(JSON.parse(stdout)).toMatchObject({ fixed: [] });
  });

  it('prints the corrected standard input, and the remaining findings on standard error', async () => {
    const { code, stdout, stderr } = await podfence(['lint', '--fix', '-'], MISSPELT + PODS);
    expect({ code, stdout }).toEqual({ code: 0, stdout: MISSPELT.replace('policyType', 'policyTypes') + PODS });
    expect(stderr).toMatch(/^<stdin>:6:3 {2}fixed {2}PF101/);
    expect((await podfence(['lint', '--fix', '--json', '-'], RIGHT)).code).toBe(2);
  });
});

describe('podfence lint --sarif', () => {
  it('prints a log whose results point to the lines', async () => {
    using wrong = manifest(MISSPELT, 'a b.yaml');
    const { code, stdout } = await podfence(['lint', '--sarif', wrong.folder]);
    expect(code).toBe(1);
    const log = JSON.parse(stdout);
    expect(log.version).toBe('2.1.0');
    expect(log.runs[0].tool.driver.name).toBe('podfence');
    const [result] = log.runs[0].results;
    expect(log.runs[0].tool.driver.rules[result.ruleIndex].id).toBe(result.ruleId);
    expect(result).toMatchObject({
      ruleId: 'PF101',
      level: 'error',
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: `file://${wrong.folder}/a%20b.yaml` },
            region: { startLine: 6, startColumn: 3 },
          },
        },
      ],
      fixes: [{ artifactChanges: [{ replacements: [{ deletedRegion: { charLength: 10 } }] }] }],
    });
  });

  it('keeps relative paths, reports hints as notes, and leaves out places that do not exist', () => {
    const base = { object: '', field: '', message: 'm', line: 0, column: 0 };
    const log = sarifLog(
      [
        findingOf('port-not-listened', { ...base, file: 'k8s/ä b.yaml', line: 2, column: 3 }),
        findingOf('unreadable', { ...base, file: 'gone' }),
        findingOf('namespace-without-policy', { ...base, file: '' }),
      ],
      '1.2.3',
    );
    expect(log).toMatchObject({
      runs: [
        {
          results: [
            {
              level: 'note',
              locations: [
                {
                  physicalLocation: {
                    artifactLocation: { uri: 'k8s/%C3%A4%20b.yaml' },
                    region: { startLine: 2, startColumn: 3 },
                  },
                },
              ],
            },
            { level: 'error', locations: [{ physicalLocation: { artifactLocation: { uri: 'gone' } } }] },
            { level: 'note' },
          ],
        },
      ],
    });
    expect(JSON.stringify(log)).not.toContain('"startLine":0');
  });
});

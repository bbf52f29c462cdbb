/**
 * The documents' links work, and they name exactly what exists: commands, settings, metrics, rules.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { agentOptions, configOption } from '../../src/commands/agent/options.ts';
import { sarifLog } from '../../src/commands/lint/sarif.ts';
import { documentationAddress } from '../../src/commands/shared/documentation.ts';
import { REASONS } from '../../src/filter/reasons.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { podfence } from '../commands/podfence.ts';
import { TestAgent } from '../telemetry/test-agent.ts';
import { anchorsOf, linksOf, markdownFiles } from './markdown.ts';

const ROOT = join(import.meta.dirname, '../..');
const FILES = markdownFiles(ROOT);
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** Returns what is wrong with a link of a document, if anything. */
function brokenLink(from: string, target: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? from : join(dirname(from), path);
  if (!existsSync(join(ROOT, file))) return `${target}: there is no ${file}`;
  if (anchor === undefined) return undefined;
  return anchorsOf(read(file)).has(anchor) ? undefined : `${target}: ${file} has no heading for it`;
}

/** Expects that the page and the anchor of a documentation address exist. */
function mustExist(address: string): void {
  const path = address.replace(documentationAddress(''), '');
  expect(path).not.toBe(address);
  expect(brokenLink('docs/README.md', path)).toBeUndefined();
}

describe('links', () => {
  it('are found outside code, and anchors are those of GitHub', () => {
    const text =
      '# A `b`: c, d\n\n[x](y.md#z) `[no](link)`\n\n    [no](link)\n\n```\n# no [no](link)\n```\n## A b c d\n';
    expect(linksOf(text)).toEqual(['y.md#z']);
    expect([...anchorsOf(text)]).toEqual(['a-b-c-d', 'a-b-c-d-1']);
  });

  it.each(FILES)('of %s lead somewhere', (file) => {
    expect(linksOf(read(file)).flatMap((target) => brokenLink(file, target) ?? [])).toEqual([]);
  });
});

test('README.md has fewer than 150 lines, and its two commands come first', () => {
  const lines = read('README.md').trimEnd().split('\n');
  expect(lines.length).toBeLessThan(150);
  const commands = lines.flatMap((line) => /^ {4}(npm .*?)(?: {2,}#.*)?$/.exec(line)?.[1] ?? []);
  expect(commands.slice(0, 2)).toEqual(['npm run demo', 'npm test']);
});

test('every page of docs/ is in its index', () => {
  const pages = FILES.filter((file) => dirname(file) === 'docs' && file !== 'docs/README.md');
  const listed = linksOf(read('docs/README.md'));
  expect(pages.map((page) => relative('docs', page)).filter((page) => !listed.includes(page))).toEqual([]);
});

describe('--help', async () => {
  /** Returns the names under "Commands:" in a help text. */
  async function listed(...command: readonly string[]): Promise<readonly string[]> {
    const { stdout } = await podfence([...command, '--help']);
    const list = stdout.slice(stdout.indexOf('Commands:'));
    return [...list.matchAll(/^ {2}([a-z][a-z-]*)(?: \[| <| {2,})/gm)].map(([, name = '']) =>
      [...command, name].join(' '),
    );
  }
  const commands = ['', 'canary-pod', ...(await listed()), ...(await listed('lab'))];

  it('lists the commands', () => {
    expect(commands).toEqual(expect.arrayContaining(['agent', 'lab run', 'lab down', 'wire']));
  });

  it.each(commands)('of podfence %s ends with the address of its page', async (command) => {
    const { stdout } = await podfence([...command.split(' ').filter((word) => word !== ''), '--help']);
    mustExist(/^Documentation: (\S+)\n$/m.exec(stdout)?.[1] ?? '');
  });
});

test('every lint rule has a section, which its helpUri in a SARIF log names', () => {
  const log = sarifLog([], '1.0.0') as { runs: [{ tool: { driver: { rules: { id: string; helpUri: string }[] } } }] };
  const { rules } = log.runs[0].tool.driver;
  expect(rules.length).toBeGreaterThan(20);
  for (const { helpUri } of rules) mustExist(helpUri);
});

test('docs/settings.md has every setting of the agent, and no others', () => {
  const rows = [...read('docs/settings.md').matchAll(/^\| (`--.*?) \|/gm)].map(([, cell = '']) => cell);
  const listed = rows.flatMap((cell) => cell.split(', '));
  const settings = [configOption(), ...agentOptions('host')].map(({ long }) => `\`${long}\``);
  expect(listed.sort()).toEqual(settings.sort());
});

test('docs/flows.md has every reason', () => {
  const page = read('docs/flows.md');
  expect(REASONS.filter((reason) => !page.includes(`| \`${reason}\` |`))).toEqual([]);
});

test('docs/metrics.md has every metric, and no others', async () => {
  const agent = new TestAgent();
  agent.policyFlows = () => [];
  const text = await new Metrics(agent).render();
  const served = [...text.matchAll(/^# HELP (podfence_\w+) /gm)].map(([, name]) => name);
  const listed = [...read('docs/metrics.md').matchAll(/^\| `(podfence_\w+)` \|/gm)].map(([, name]) => name);
  expect(listed.sort()).toEqual(served.sort());
});

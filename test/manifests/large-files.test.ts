/**
 * Files that are large by mistake or on purpose: what reading them costs, and what stays known
 * meanwhile.
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadManifests } from '../../src/manifests/load.ts';
import { ManifestWatch } from '../../src/manifests/manifest-watch.ts';
import { MAX_BYTES } from '../../src/manifests/sources.ts';
import { readYaml } from '../../src/manifests/yaml.ts';
import { withoutLongComments } from '../../src/manifests/yaml-comments.ts';
import { eventually } from '../patience.ts';

const POD = 'apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: [{name: c}]}\n';
const POLICY =
  'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: shop}\nspec: {podSelector: {}}\n';
const keys = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podfence-large-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/**
 * Returns how often a callback of `some` or `find` is called during `work`, as when each key is
 * compared with all others.
 */
function comparisons(work: () => void): number {
  const { some, find } = Array.prototype;
  let count = 0;
  const counting = (method: (...args: never[]) => unknown) =>
    function (this: unknown[], test: (...args: unknown[]) => unknown, self?: unknown) {
      const counted = (...args: unknown[]) => {
        count++;
        return test.apply(self, args);
      };
      return method.apply(this, [counted] as never[]);
    };
  Array.prototype.some = counting(some as never) as never;
  Array.prototype.find = counting(find as never) as never;
  try {
    work();
  } finally {
    Array.prototype.some = some;
    Array.prototype.find = find;
  }
  return count;
}

describe('a YAML map of many keys', () => {
  it.each<[string, (count: number) => string]>([
    [
      'block',
      (count) =>
        `data:\n${keys(count)
          .map((key) => `  ${key}: v\n`)
          .join('')}`,
    ],
    ['flow', (count) => `data: {${keys(count).join(': v, ')}: v}\n`],
  ])('costs in proportion to their number (%s)', (_, textOf) => {
    const [small, large] = [500, 2000].map((count) => comparisons(() => readYaml(textOf(count)))) as [number, number];
    expect(large).toBeLessThan(6 * small + 1000);
  });

  it('is scanned once for the places of all its fields', () => {
    const [small, large] = [500, 2000].map((count) => {
      const [document] = readYaml(
        `labels:\n${keys(count)
          .map((key) => `  ${key}: [v]\n`)
          .join('')}`,
      );
      return comparisons(() => {
        for (const [i, key] of keys(count).entries()) expect(document?.locate(['labels', key]).line).toBe(i + 2);
      });
    }) as [number, number];
    expect(large).toBeLessThan(6 * small + 1000);
  });

  it('still may not contain a key twice', () => {
    const [document] = readYaml('a: 1\nb: {c: 1, c: 2}\na: 3\n<<: {d: 1}\n');
    expect(document?.syntaxProblems).toEqual([
      { line: 2, column: 11, message: 'this key appears twice in the map', hint: 'Remove one of them.' },
      { line: 3, column: 1, message: 'this key appears twice in the map', hint: 'Remove one of them.' },
    ]);
  });
});

describe('long runs of comments', () => {
  const comments = (count: number) => '# a comment\n\n'.repeat(count);
  const linesOf = (text: string) => text.split('\n').length;

  it('are one line to the parser, at the start, in between and at the end', () => {
    for (const text of [comments(5000) + POD, `a: 1\n${comments(5000)}b: 2\n`, POD + comments(5000)]) {
      const shorter = withoutLongComments(text);
      expect(shorter).toHaveLength(text.length);
      expect(linesOf(shorter)).toBeLessThan(10);
      expect(shorter.replaceAll(/\s/g, '')).toBe(text.replaceAll(/#.*|\s/g, ''));
    }
  });

  it('do not move any place', () => {
    const [document] = readYaml(`a: 1\n${comments(2000)}b:\n  c: [1, 2]\n${comments(2000)}d: 4\n`);
    expect(document?.value).toEqual({ a: 1, b: { c: [1, 2] }, d: 4 });
    expect(document?.locate(['b', 'c', 1])).toEqual({ line: 4003, column: 10 });
    expect(document?.locate(['d'])).toEqual({ line: 8004, column: 4 });
  });

  it('are kept if they may be part of a text, or are short', () => {
    const text = `a: |\n${'  # text\n'.repeat(3000)}b: 1\n${comments(100)}`;
    expect(withoutLongComments(text)).toBe(text);
  });
});

describe('a file beyond the bound', () => {
  it('is reported with the bound, and not read', async () => {
    const file = join(folder, 'huge.yaml');
    writeFileSync(file, POD);
    truncateSync(file, MAX_BYTES + 1);
    const { problems } = await loadManifests([file]);
    expect(problems).toEqual([
      expect.objectContaining({ file, severity: 'error', message: 'the file is larger than 32 MiB and is not read' }),
    ]);
  });

  it('removes nothing from what was known, and its thread does not block the main thread', async () => {
    const file = join(folder, 'all.yaml');
    writeFileSync(file, `${POD}---\n${POLICY}`);
    let logged = '';
    const log = pino({}, { write: (line: string) => (logged += line) });
    const watch = new ManifestWatch({ paths: [folder], nodeName: 'n', log, onChanges: () => undefined });
    watch.start();
    await watch.synced;
    truncateSync(file, MAX_BYTES + 1);
    await eventually(() => expect(logged).toContain('the last known state stays in force'));
    expect(logged).toContain('larger than 32 MiB');
    expect(watch.snapshot().policies).toHaveLength(1);
    expect(watch.snapshot().pods).toHaveLength(1);

    const busy = performance.eventLoopUtilization();
    writeFileSync(
      file,
      `${POD}---\n${POLICY}---\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata:\n${keys(20_000)
        .map((key) => `  ${key}: v\n`)
        .join('')}---\n${POLICY.replace('name: a', 'name: b')}`,
    );
    await eventually(() => expect(watch.snapshot().policies).toHaveLength(2));
    expect(performance.eventLoopUtilization(busy).utilization).toBeLessThan(0.5);
    await watch.stop();
  });
});

import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BENCHES } from '../../bench/benches.ts';
import { LARGE } from '../../bench/compile/cluster.ts';
import { inChild } from '../../bench/harness/child.ts';

const RUN = join(import.meta.dirname, '../../bench/run.ts');
const REFERENCE = join(import.meta.dirname, '../../bench/results');
const inCompile = (file: string) => new URL(`../../bench/compile/${file}`, import.meta.url);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podfence-bench-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

type OnStderr = (text: string, kill: (signal: NodeJS.Signals) => void) => void;

/** Runs the command. `onStderr` sees the error output so far and can end the command. */
async function run(
  args: readonly string[],
  { env = process.env, onStderr }: { env?: NodeJS.ProcessEnv; onStderr?: OnStderr } = {},
) {
  const child = spawn(process.execPath, [RUN, '--out', folder, ...args], { cwd: folder, env });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
    onStderr?.(stderr, (signal) => child.kill(signal));
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

describe('npm run bench', () => {
  test('lists the benchmarks', async () => {
    const { code, stdout } = await run(['--list']);
    expect(code).toBe(0);
    for (const [name, { summary }] of Object.entries(BENCHES))
      expect(stdout).toMatch(new RegExp(`${name} +${summary}`));
  });

  test('prints help', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    for (const option of ['--quick', '--out <folder>', '--list', '--report']) expect(stdout).toContain(option);
  });

  test.each([
    [['fliter'], 'no benchmark is called fliter. Did you mean filter?'],
    [['nothing-like-it'], 'no benchmark is called nothing-like-it. There are filter, compile'],
    [['--quik'], "unknown option '--quik'"],
    [['--report'], 'contains no results'],
    [['soak', '--minutes', 'Infinity'], 'It must be a number above 0'],
    [['soak', '--minutes', 'NaN'], 'It must be a number above 0'],
    [['soak', '--minutes', '0'], 'It must be a number above 0'],
    [['filter', '--quick', '--out', REFERENCE], 'contains the reference run'],
  ])('with %j says what is wrong and runs nothing', async (args, message) => {
    const { code, stderr } = await run(args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('says what a benchmark needs and this machine lacks', async () => {
    const nowhere = { ...process.env, PATH: folder };
    const { code, stderr } = await run(['queue'], { env: nowhere });
    expect(stderr).toMatch(/^queue: not run, it needs /m);
    expect(code).toBe(3);
  });

  test('measures, reports progress, prints a table and writes both files', async () => {
    const { code, stdout, stderr } = await run(['compile', '--quick']);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^compile: full compile of 750 policies \(1 of 1\)$/m);
    expect(stderr).not.toContain('was not measured');
    expect(stdout).toMatch(/^full compile +[\d.,]+ ms .* 2,000 ms or less ✓$/m);
    expect(stdout).toContain('compile.json, compile.svg');
    expect(readdirSync(folder)).toEqual(['compile.json', 'compile.svg']);
    const result = JSON.parse(readFileSync(join(folder, 'compile.json'), 'utf8'));
    expect(result).toMatchObject({ shape: 1, bench: 'compile', quick: true });
    expect(result.rows.length).toBeGreaterThan(20);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('ends on %s at once and leaves no files', async (signal) => {
    let sent = false;
    const onStderr: OnStderr = (stderr, kill) => {
      if (sent || !stderr.includes('full compile of')) return;
      sent = true;
      kill(signal);
    };
    const { code, stdout } = await run(['compile'], { onStderr });
    expect(code).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(stdout).toBe('');
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a measurement in a child', () => {
  test('that fails reports the error of the child', async () => {
    const input = { shape: 'round', n: 1, edits: 1 };
    await expect(inChild(inCompile('shape-process.ts'), input)).rejects.toThrow('no shape is called round');
  });

  test('that ends without an answer reports that', async () => {
    await expect(inChild(inCompile('cluster.ts'), {})).rejects.toThrow('cluster.ts ended without an answer: code 0');
  });

  test('is ended when its caller aborts', async () => {
    const abort = new AbortController();
    const onReport = () => abort.abort(new Error('enough'));
    const input = { size: { ...LARGE, pods: 1000, policies: 100 }, counts: { common: 1e9, sweeping: 1 } };
    await expect(inChild(inCompile('events-process.ts'), input, { signal: abort.signal, onReport })).rejects.toThrow(
      'enough',
    );
  });
});

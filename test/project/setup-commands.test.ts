import { type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packagesStamp } from '../../setup/npm.mjs';
import { countResults } from '../../setup/results-reporter.mjs';
import { patience } from '../patience.ts';

const ROOT = join(import.meta.dirname, '../..');

/**
 * A checkout that is set up, with its own command line and stand-ins for the installed commands.
 */
let checkout: string;
beforeEach(async () => {
  checkout = await realpath(await mkdtemp(join(tmpdir(), 'podfence-checkout-')));
  for (const path of ['setup', 'package.json', 'package-lock.json', '.npmrc']) {
    cpSync(join(ROOT, path), join(checkout, path), { recursive: true });
  }
  const lockfile = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  write('node_modules/.podfence-setup', packagesStamp(lockfile, process.versions.node));
  // A stand-in, so that set-up does not build it.
  write('bin/actionlint', '#!/bin/sh\n');
  chmodSync(join(checkout, 'bin/actionlint'), 0o755);
});
afterEach(() => rm(checkout, { recursive: true }));

function write(path: string, content: string): void {
  mkdirSync(dirname(join(checkout, path)), { recursive: true });
  writeFileSync(join(checkout, path), content);
}

/**
 * The environment of a user who types a command: without the variables of the npm that runs these
 * tests.
 */
function userEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|INIT_CWD|VITEST|PODFENCE|NODE_OPTIONS)/.test(name),
  );
  const PATH = [dirname(process.execPath), process.env.PATH, join(checkout, 'bin')].join(delimiter);
  return { ...Object.fromEntries(own), PATH };
}

const options = (): SpawnOptions & { encoding: 'utf8' } => ({
  cwd: checkout,
  env: userEnvironment(),
  encoding: 'utf8',
  timeout: patience(20_000),
});
const setup = (...args: string[]) => spawnSync(process.execPath, ['setup/run.mjs', ...args], options());

describe('podfence from a checkout', () => {
  const ECHO = `const { argv, stdout } = process; const first: string = JSON.stringify(argv.slice(2)); stdout.write(first);`;

  it('gets its arguments, and prints its own output only', () => {
    write('src/cli.ts', ECHO);
    const { stdout, stderr, status } = setup('podfence', 'explain', 'a b', '--json');
    expect({ stdout, stderr, status }).toEqual({ stdout: '["explain","a b","--json"]', stderr: '', status: 0 });
  });

  it('prints its own output only through npm, too', () => {
    write('src/cli.ts', ECHO);
    const { stdout, stderr, status } = spawnSync('npm', ['run', 'podfence', '--', '--version'], options());
    expect({ stdout, stderr, status }).toEqual({ stdout: '["--version"]', stderr: '', status: 0 });
  });

  it('runs in the folder in which the user typed npm run', () => {
    write('src/cli.ts', 'process.stdout.write(process.cwd());');
    mkdirSync(join(checkout, 'manifests'));
    const { stdout } = spawnSync('npm', ['run', 'podfence'], { ...options(), cwd: join(checkout, 'manifests') });
    expect(stdout).toBe(join(checkout, 'manifests'));
  });

  it('is the demo with the word demo', () => {
    write('src/cli.ts', ECHO);
    expect(setup('demo', '--no-colour').stdout).toBe('["demo","--no-colour"]');
  });

  it('passes its exit code on', () => {
    write('src/cli.ts', 'process.exitCode = 7;');
    expect(setup('podfence').status).toBe(7);
  });

  it('exits with 128 plus the signal’s number if a signal ended it', () => {
    write('src/cli.ts', `process.kill(process.pid, 'SIGKILL');`);
    expect(setup('podfence').status).toBe(137);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('gets %s, and is waited for', async (signal) => {
    const source = `process.on('${signal}' as string, () => process.stdout.write('stopping '));
      process.stdin.on('end', () => { process.stdout.write('stopped'); process.exit(4); }).resume();
      process.stdout.write('ready ');`;
    write('src/cli.ts', source);
    // In its own session, because a terminal would send the signal to the whole group.
    const child = spawn(process.execPath, ['setup/run.mjs', 'podfence'], {
      ...options(),
      stdio: 'pipe',
      detached: true,
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
      if (output === 'ready ') child.kill(signal);
      if (output === 'ready stopping ') child.stdin.end();
    });
    const [code] = await once(child, 'close');
    expect({ output, code }).toEqual({ output: 'ready stopping stopped', code: 4 });
  });

  it('gets a signal once if npm sends it after the terminal did', () => {
    const harness = `import { ChildProcess } from 'node:child_process';
      import { runInForeground, watchSignals } from './setup/child.mjs';
      const { kill } = ChildProcess.prototype;
      ChildProcess.prototype.kill = function (signal) { console.log('sent', signal); return kill.call(this, signal); };
      watchSignals();
      const code = runInForeground(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']);
      process.emit('SIGTERM', 'SIGTERM');
      process.emit('SIGTERM', 'SIGTERM');
      console.log(await code);`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', harness], options());
    expect(stdout).toBe('sent SIGTERM\n143\n');
  });

  it('is distinguished from an unknown word', () => {
    const { stderr, status } = setup('constructor');
    expect(status).toBe(2);
    expect(stderr).toMatch(/usage: .*demo\|podfence\|test\|fuzz\|faults\|test:cluster\|test:kernel\|bench\|build/);
  });
});

describe('npm test', () => {
  const stub = (name: string, script: string) => {
    write(`node_modules/.bin/${name}`, `#!/bin/sh\necho ${name} "$@" >> calls\n${script}\n`);
    chmodSync(join(checkout, 'node_modules/.bin', name), 0o755);
  };
  const results = (counts: object) => `echo '${JSON.stringify(counts)}' > "$PODFENCE_TEST_RESULTS"`;
  const lastLine = (text: string) => text.trimEnd().split('\n').at(-1);
  const calls = () => readFileSync(join(checkout, 'calls'), 'utf8').trim().split('\n');

  beforeEach(() => {
    for (const name of ['biome', 'tsc', 'knip']) stub(name, 'exit 0');
    stub('vitest', results({ passed: 10, failed: 0, skipped: 2 }));
  });

  it('runs the checks, then the tests, and ends with the total', () => {
    const { stdout, status } = setup('test');
    expect(calls().map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual(
      ['biome ci', 'tsc --noEmit', 'knip ', 'vitest run'].map((line) => line.trim()),
    );
    expect(lastLine(stdout)).toBe('total: 13 passed, 0 failed, 2 skipped');
    expect(status).toBe(0);
  });

  it('with arguments runs only the tests, and gives them to vitest', () => {
    const { stdout } = setup('test', 'test/packet', '-t', 'two words');
    expect(calls()).toEqual([expect.stringMatching(/^vitest run .*test\/packet -t two words$/)]);
    expect(lastLine(stdout)).toBe('total: 10 passed, 0 failed, 2 skipped');
  });

  it('runs everything even if a check fails, shows its output, and fails', () => {
    stub('tsc', 'echo "error TS2322"; exit 2');
    const { stdout, status } = setup('test');
    expect(calls()).toHaveLength(4);
    expect(stdout).toMatch(/✗ types.*failed.*\nerror TS2322/);
    expect(lastLine(stdout)).toBe('total: 12 passed, 1 failed, 2 skipped');
    expect(status).toBe(1);
  });

  it('fails if a test fails', () => {
    stub('vitest', `${results({ passed: 3, failed: 1, skipped: 0 })}; exit 1`);
    const { stdout, status } = setup('test');
    expect(lastLine(stdout)).toBe('total: 6 passed, 1 failed');
    expect(status).toBe(1);
  });

  it('fails if no test ran', () => {
    stub('vitest', results({ passed: 0, failed: 0, skipped: 5 }));
    const { stdout, status } = setup('test', '-t', 'nothing');
    expect(stdout).toContain('no test ran');
    expect(lastLine(stdout)).toBe('total: 0 passed, 1 failed, 5 skipped');
    expect(status).toBe(1);
  });

  it('fails if vitest dies without a result', () => {
    stub('vitest', 'kill -SEGV $$');
    const { stdout, status } = setup('test');
    expect(stdout).toContain('vitest ended with exit code 139');
    expect(lastLine(stdout)).toBe('total: 3 passed, 1 failed');
    expect(status).toBe(139);
  });
});

describe('the counted results', () => {
  const file = (state: string, ...states: string[]) => {
    const tests = states.map((result, index) => ({
      fullName: `suite > test ${index}`,
      result: () => ({ state: result, note: result === 'skipped' ? 'needs root' : undefined }),
    }));
    const module = { relativeModuleId: 'test/a.test.ts', state: () => state, children: { allTests: () => tests } };
    return module as unknown as Parameters<typeof countResults>[0][number];
  };

  it('are those of the tests, and skipped tests are listed with the reason', () => {
    const { results, skipped } = countResults(
      [file('failed', 'passed', 'failed', 'skipped'), file('passed', 'passed')],
      0,
    );
    expect(results).toEqual({ passed: 2, failed: 1, skipped: 1 });
    expect(skipped).toEqual(['test/a.test.ts > suite > test 2 (needs root)']);
  });

  it('include a failure for a file that fails outside its tests, and for errors outside any file', () => {
    expect(countResults([file('failed')], 2).results).toEqual({ passed: 0, failed: 3, skipped: 0 });
  });
});

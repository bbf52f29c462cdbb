/** The project's workflows, and the action for users' CI. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { parse } from 'yaml';
import { findGoTool } from '../../setup/go-tools.mjs';

const ROOT = join(import.meta.dirname, '../..');
const WORKFLOWS = globSync('.github/workflows/*.yml', { cwd: ROOT }).sort();
const ACTIONLINT = findGoTool('actionlint', join(ROOT, '.cache'), process.env.PATH ?? '');

interface Step {
  readonly id?: string;
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
}
const read = (path: string) => parse(readFileSync(join(ROOT, path), 'utf8'));
const ACTION: { readonly runs: { readonly steps: readonly Step[] } } = read('action.yml');

describe('workflows', () => {
  const why = ACTIONLINT === undefined ? ' (needs actionlint)' : '';
  it.skipIf(ACTIONLINT === undefined)(`have no mistakes${why}`, () => {
    // shellcheck is off: its findings depend on whether the machine has it.
    const args = ['-no-color', '-shellcheck=', '-pyflakes=', ...WORKFLOWS];
    const { status, stdout } = spawnSync(ACTIONLINT ?? '', args, { cwd: ROOT, encoding: 'utf8' });
    expect({ stdout, status }).toEqual({ stdout: '', status: 0 });
  });

  it.each(WORKFLOWS)('%s may only read unless a job asks for more', (file) => {
    expect(read(file).permissions).toEqual({ contents: 'read' });
  });

  it.each([...WORKFLOWS, 'action.yml'])('%s names every action by its full version', (file) => {
    const uses = [...readFileSync(join(ROOT, file), 'utf8').matchAll(/uses: (\S+)/g)].map(([, name = '']) => name);
    const foreign = uses.filter((name) => !name.startsWith('./'));
    expect(foreign.filter((name) => !/@v\d+\.\d+\.\d+$/.test(name))).toEqual([]);
  });
});

describe('the action', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'podfence-action-'));
    mkdirSync(join(folder, 'temp'));
    git(['init', '--quiet', '--initial-branch=main', 'origin']);
    cpSync(join(ROOT, 'examples/three-tier'), join(folder, 'origin/k8s'), { recursive: true });
    commit();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const origin = () => join(folder, 'origin');
  const checkout = () => join(folder, 'checkout');
  const temporary = (name: string) => readFileSync(join(folder, 'temp', name), 'utf8');
  function git(args: readonly string[], cwd = folder): string {
    const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.org', '-c', 'commit.gpgsign=false'];
    return execFileSync('git', [...who, ...args], { cwd, encoding: 'utf8' }).trim();
  }
  function commit(): string {
    git(['add', '--all'], origin());
    git(['commit', '--quiet', '--message', 'c'], origin());
    return git(['rev-parse', 'HEAD'], origin());
  }
  /** Clones the pull request as actions/checkout does: the newest commit, without history. */
  function checkOut(): void {
    git(['clone', '--quiet', '--depth=1', `file://${origin()}`, 'checkout']);
  }
  function edit(path: string, from: string, to: string): void {
    const file = join(origin(), path);
    const text = readFileSync(file, 'utf8');
    expect(text).toContain(from);
    writeFileSync(file, text.replace(from, to));
  }

  /** Runs the shell of a step as the runner does. */
  function run(name: string, env: Readonly<Record<string, string>>) {
    const step = ACTION.runs.steps.find((each) => each.name === name);
    if (step?.run === undefined) throw new Error(`action.yml has no step ${name}`);
    const outputs = join(folder, 'temp', 'outputs');
    writeFileSync(outputs, '');
    const missing = Object.keys(step.env ?? {}).filter((variable) => !(variable in env) && variable !== 'PODFENCE');
    expect(missing).toEqual([]);
    const { status, stdout, stderr } = spawnSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', step.run], {
      cwd: checkout(),
      encoding: 'utf8',
      env: {
        ...process.env,
        PATH: `${join(folder, 'bin')}:${dirname(process.execPath)}:${process.env.PATH}`,
        PODFENCE: join(ROOT, 'src/cli.ts'),
        RUNNER_TEMP: join(folder, 'temp'),
        GITHUB_OUTPUT: outputs,
        GITHUB_REPOSITORY: 'shop/policies',
        ...env,
      },
    });
    return { status, stdout, stderr, output: readFileSync(outputs, 'utf8') };
  }

  it('lints, and leaves a SARIF log with relative paths', () => {
    edit('k8s/policies/shop.yaml', 'policyTypes:', 'policyType:');
    commit();
    checkOut();
    const { status, stdout, output } = run('Lint', { MANIFESTS: 'k8s', FAIL_ON: 'warning' });
    expect({ status, output }).toEqual({ status: 0, output: 'code=1\n' });
    expect(stdout).toContain('PF101 unknown-field');
    const [{ results }] = JSON.parse(temporary('podfence.sarif')).runs;
    expect(results[0].locations[0].physicalLocation.artifactLocation.uri).toBe('k8s/policies/shop.yaml');
    expect(run('Fail where something is wrong', { LINT: '1', ASSERTIONS: '' }).status).toBe(1);
  });

  it('reports a manifest that cannot be read', () => {
    writeFileSync(join(origin(), 'k8s/broken.yaml'), 'spec: {podSelector: [}');
    commit();
    checkOut();
    expect(run('Lint', { MANIFESTS: 'k8s', FAIL_ON: 'never' })).toMatchObject({ status: 0, output: 'code=2\n' });
  });

  it('checks assertions', () => {
    checkOut();
    const check = (assertion: string) => run('Check assertions', { MANIFESTS: 'k8s', ASSERTIONS: assertion });
    expect(check('k8s/truth-table.txt').output).toBe('code=0\n');
    expect(check('deny shop/backend -> shop/database:5432')).toMatchObject({ status: 0, output: 'code=1\n' });
    expect(run('Fail where something is wrong', { LINT: '0', ASSERTIONS: '0' }).status).toBe(0);
    expect(run('Fail where something is wrong', { LINT: '0', ASSERTIONS: '' }).status).toBe(0);
  });

  const SEE = 'See what the pull request opens and closes';

  it('shows what a pull request opens and closes, and leaves no work tree', () => {
    const base = git(['rev-parse', 'HEAD'], origin());
    edit('k8s/policies/shop.yaml', 'app: frontend', 'app: nobody');
    commit();
    checkOut();
    expect(run(SEE, { MANIFESTS: 'k8s', BASE: base })).toMatchObject({ status: 0 });
    expect(temporary('podfence-changes.txt')).toMatch(
      /^(opened|closed) {2}.* -> shop\/.*\n[\s\S]*\d+ opened, \d+ closed/,
    );
    expect(git(['worktree', 'list'], checkout()).split('\n')).toHaveLength(1);
    expect(git(['status', '--porcelain'], checkout())).toBe('');
  });

  it('fetches nothing if the base is there, so that a full clone stays full', () => {
    const base = git(['rev-parse', 'HEAD'], origin());
    edit('k8s/policies/shop.yaml', 'app: frontend', 'app: nobody');
    commit();
    git(['clone', '--quiet', `file://${origin()}`, 'checkout']);
    expect(run(SEE, { MANIFESTS: 'k8s', BASE: base })).toMatchObject({ status: 0 });
    expect(git(['rev-parse', '--is-shallow-repository'], checkout())).toBe('false');
  });

  it('treats new manifests as policies that did not exist before', () => {
    git(['rm', '--quiet', '-r', '--cached', 'k8s'], origin());
    git(['commit', '--quiet', '--allow-empty', '--message', 'without'], origin());
    const base = git(['rev-parse', 'HEAD'], origin());
    commit();
    checkOut();
    expect(run(SEE, { MANIFESTS: 'k8s', BASE: base })).toMatchObject({ status: 0 });
    expect(temporary('podfence-changes.txt')).toMatch(/^0 opened, [1-9]\d* closed/m);
  });

  it('accepts a pull request that repairs manifests', () => {
    edit('k8s/policies/shop.yaml', 'policyTypes:', 'policyType:');
    const base = commit();
    edit('k8s/policies/shop.yaml', 'policyType:', 'policyTypes:');
    commit();
    checkOut();
    expect(run(SEE, { MANIFESTS: 'k8s', BASE: base })).toMatchObject({ status: 0 });
    expect(temporary('podfence-changes.txt')).toMatch(/\d+ opened, \d+ closed/);
  });

  it('fails if the matrix cannot be made', () => {
    checkOut();
    const BASE = git(['rev-parse', 'HEAD'], origin());
    expect(run(SEE, { MANIFESTS: 'nowhere', BASE }).status).toBe(1);
    const PODFENCE = join(folder, 'temp/broken.ts');
    writeFileSync(PODFENCE, "console.log('half a line'); process.exit(3);");
    expect(run(SEE, { MANIFESTS: 'k8s', BASE, PODFENCE }).status).toBe(3);
  });

  describe('comments', () => {
    /** A gh that records its arguments, and answers with the id of a comment, if there is one. */
    function standInForGh(comment: string): void {
      const script = `#!/bin/sh\necho "$*" >> '${folder}/calls'\ncase "$*" in *--paginate*) printf '${comment}';; esac\n`;
      mkdirSync(join(folder, 'bin'));
      writeFileSync(join(folder, 'bin/gh'), script);
      chmodSync(join(folder, 'bin/gh'), 0o755);
    }
    function comment(changes: string): readonly string[] {
      checkOut();
      writeFileSync(join(folder, 'temp/podfence-changes.txt'), changes);
      expect(run('Comment on the pull request', { NUMBER: '7', GH_TOKEN: 'none' })).toMatchObject({ status: 0 });
      expect(existsSync(join(folder, 'temp/podfence-comment.md'))).toBe(true);
      return readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n').slice(1);
    }

    it('once if something changes', () => {
      standInForGh('');
      expect(comment('opened  a/b -> c/d:80/tcp\n1 opened, 0 closed, of 9 ways\n')).toEqual([
        expect.stringMatching(/^api --silent --method POST repos\/shop\/policies\/issues\/7\/comments /),
      ]);
      expect(temporary('podfence-comment.md')).toMatch(/^<!-- podfence -->\n[\s\S]*opened {2}a\/b -> c\/d:80\/tcp/);
    });

    it('by changing the existing comment', () => {
      standInForGh('41\\n42\\n');
      expect(comment('0 opened, 0 closed, of 9 ways\n')).toEqual([
        expect.stringMatching(/^api --silent --method PATCH repos\/shop\/policies\/issues\/comments\/41 /),
      ]);
    });

    it('not if nothing changes', () => {
      standInForGh('');
      expect(comment('0 opened, 0 closed, of 9 ways\n')).toEqual([]);
    });
  });
});

test('release notes are those of the version in the changelog', () => {
  const steps: readonly Step[] = read('.github/workflows/release.yml').jobs.release.steps;
  const notes = steps.find(({ name }) => name === 'Take the notes from the changelog')?.run ?? '';
  const folder = mkdtempSync(join(tmpdir(), 'podfence-notes-'));
  try {
    writeFileSync(
      join(folder, 'CHANGELOG.md'),
      '# C\n\n## [Unreleased]\n\n- c\n\n## [0.2.0] - 2027\n\n- b\n\n## [0.1.0]\n\n- a\n',
    );
    const take = (tag: string) =>
      spawnSync('bash', ['-eo', 'pipefail', '-c', notes], {
        cwd: folder,
        env: { ...process.env, GITHUB_REF_NAME: tag },
      });
    expect(take('v0.2.0').status).toBe(0);
    expect(readFileSync(join(folder, 'notes.md'), 'utf8').trim()).toBe('- b');
    expect(take('v0.3.0').status).not.toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

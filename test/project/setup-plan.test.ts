import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packagesStamp } from '../../setup/npm.mjs';
import { describePlan, isComplete, mayInstall, refusal } from '../../setup/plan.mjs';
import { patience } from '../patience.ts';

const ROOT = join(import.meta.dirname, '../..');

const COMPLETE = { systemPackages: [], node: false, npmPackages: false, goTools: [] };
const NFTABLES = { name: 'nftables', commands: ['nft'], reason: 'steering by nftables' };
const ACTIONLINT = {
  name: 'actionlint',
  package: 'example.org/actionlint',
  version: 'v1.0.0',
  reason: 'tests of workflows',
};
const IPSET = { name: 'ipset', commands: ['ipset'], reason: 'sets of pod addresses' };

const EVERYTHING = { systemPackages: [NFTABLES, IPSET], node: true, npmPackages: true, goTools: [ACTIONLINT] };

describe('what set-up is about to install', () => {
  it('is named in one line', () => {
    const line = describePlan(EVERYTHING);
    expect(line).toMatch(
      /^set-up installs: system packages nftables, ipset; Node 24\.\S+ in \.cache; npm packages in node_modules; actionlint v1\.0\.0 in \.cache /,
    );
    expect(line).toContain('PODFENCE_SETUP=no');
    expect(line).not.toContain('\n');
  });

  it('leaves out what is installed', () => {
    expect(describePlan({ ...COMPLETE, npmPackages: true })).toMatch(/^set-up installs: npm packages in node_modules /);
    expect(isComplete(COMPLETE)).toBe(true);
    expect(isComplete({ ...COMPLETE, systemPackages: [NFTABLES] })).toBe(false);
  });

  it('is listed in a refusal, with the commands that install it by hand', () => {
    const { message } = refusal(EVERYTHING, '/cache');
    expect(message).toMatch(/^ {2}nftables \(steering by nftables\)$/m);
    expect(message).toMatch(/^ {2}apt-get install --no-install-recommends nftables ipset$/m);
    expect(message).toMatch(/^ {2}Node 24, from https:\/\/nodejs\.org/m);
    expect(message).toMatch(/^ {2}npm ci /m);
    expect(message).toMatch(/^ {2}GOBIN=\/cache\S+ go install example\.org\/actionlint@v1\.0\.0$/m);
  });
});

describe('PODFENCE_SETUP', () => {
  it('is yes or no, and yes by default', () => {
    expect(['yes', '', undefined].map((value) => mayInstall({ PODFENCE_SETUP: value }))).toEqual([true, true, true]);
    expect(mayInstall({ PODFENCE_SETUP: 'no' })).toBe(false);
    expect(() => mayInstall({ PODFENCE_SETUP: 'off' })).toThrow(/"off" is not accepted/);
  });
});

describe('a checkout without npm packages', () => {
  let checkout: string;
  beforeEach(async () => {
    checkout = await realpath(await mkdtemp(join(tmpdir(), 'podfence-checkout-')));
    for (const path of ['setup', 'package.json', 'package-lock.json', '.npmrc']) {
      cpSync(join(ROOT, path), join(checkout, path), { recursive: true });
    }
    write('src/cli.ts', "console.log('runs', process.env.PODFENCE_SETUP);");
    // Neither may touch the machine.
    for (const name of ['npm', 'apt-get']) writeCommand(name, `echo ${name} "$@" >> '${checkout}/calls'`);
  });
  afterEach(() => rm(checkout, { recursive: true }));

  function write(path: string, content: string): string {
    const file = join(checkout, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }
  function writeCommand(name: string, script: string): void {
    chmodSync(write(`bin/${name}`, `#!/bin/sh\n${script}\n`), 0o755);
  }
  const calls = () =>
    existsSync(join(checkout, 'calls')) ? readFileSync(join(checkout, 'calls'), 'utf8').trim().split('\n') : [];

  function setup(env: NodeJS.ProcessEnv = {}) {
    const own = Object.entries(process.env).filter(([name]) => !/^(npm_|INIT_CWD|VITEST|PODFENCE)/.test(name));
    const PATH = [join(checkout, 'bin'), dirname(process.execPath), process.env.PATH].join(delimiter);
    return spawnSync(process.execPath, ['setup/run.mjs', 'podfence'], {
      cwd: checkout,
      env: { ...Object.fromEntries(own), PATH, ...env },
      encoding: 'utf8',
      timeout: patience(20_000),
    });
  }

  it('says in its first line what it installs', () => {
    writeCommand('npm', `echo npm "$@" >> '${checkout}/calls'; mkdir -p node_modules`);
    const { stderr, stdout, status } = setup();
    expect(stderr.split('\n')[0]).toMatch(/^set-up installs: .*npm packages in node_modules/);
    expect(calls()).toContainEqual(expect.stringMatching(/^npm ci /));
    expect({ stdout, status }).toEqual({ stdout: 'runs undefined\n', status: 0 });
  });

  it('refuses with PODFENCE_SETUP=no, and installs nothing', () => {
    const { stderr, stdout, status } = setup({ PODFENCE_SETUP: 'no' });
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
    expect(stderr).toMatch(/PODFENCE_SETUP=no, so nothing is installed/);
    expect(stderr).toMatch(/^ {2}the npm packages of package-lock.json$/m);
    expect(stderr).toMatch(/^ {2}npm ci /m);
    expect(calls()).toEqual([]);
    expect(existsSync(join(checkout, 'node_modules'))).toBe(false);
  });

  it('runs with PODFENCE_SETUP=no once they are installed by hand, and only if they match the lockfile', () => {
    const lockfile = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
    write('node_modules/.package-lock.json', JSON.stringify(lockfile));
    const { stdout, stderr } = setup({ PODFENCE_SETUP: 'no' });
    expect({ stdout, stderr }).toEqual({ stdout: 'runs undefined\n', stderr: '' });
    lockfile.packages['node_modules/yaml'].version = '0.0.1';
    write('node_modules/.package-lock.json', JSON.stringify(lockfile));
    expect(setup({ PODFENCE_SETUP: 'no' }).status).toBe(1);
    expect(calls()).toEqual([]);
  });

  it('installs nothing if PODFENCE_SETUP is misspelt', () => {
    const { stderr, status } = setup({ PODFENCE_SETUP: 'No' });
    expect(status).toBe(1);
    expect(stderr).toMatch(/PODFENCE_SETUP: "No" is not accepted/);
    expect(calls()).toEqual([]);
  });

  it('prints nothing if set-up has installed everything', () => {
    const lockfile = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
    write('node_modules/.podfence-setup', packagesStamp(lockfile, process.versions.node));
    expect(setup().stderr).toBe('');
    rmSync(join(checkout, 'node_modules'), { recursive: true });
    expect(setup({ PODFENCE_SETUP: 'no' }).status).toBe(1);
  });
});

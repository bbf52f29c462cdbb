/**
 * The system commands that the lab, the steering and the packet tests call, and the Debian packages
 * that provide them.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { commandLine, runCaptured } from './child.mjs';
import { elapsed, SetupError, say } from './output.mjs';

/**
 * A package is missing if one of its commands or files is missing; if its commands are
 * alternatives, only if all of them are.
 * @typedef {{ name: string, commands: readonly string[], alternatives?: true, files?: readonly
 * string[], reason: string }} SystemPackage
 */

/** @type {readonly SystemPackage[]} */
const PACKAGES = [
  { name: 'iproute2', commands: ['ip'], reason: 'pods as network namespaces' },
  { name: 'iptables', commands: ['iptables', 'ip6tables'], reason: 'steering by iptables, Services of the lab' },
  { name: 'ipset', commands: ['ipset'], reason: 'steering by iptables: sets of pod addresses' },
  { name: 'nftables', commands: ['nft'], reason: 'steering by nftables' },
  { name: 'iputils-ping', commands: ['ping'], reason: 'ICMP between pods' },
];

/**
 * Only tests need it: Debian's smallest browser, which opens the pages that podfence generates.
 * @type {SystemPackage}
 */
const BROWSER = {
  name: 'chromium-headless-shell',
  commands: ['chromium-headless-shell', 'chromium', 'google-chrome'],
  alternatives: true,
  reason: 'tests of pages in a real browser',
};

/**
 * Only benchmarks need these.
 * @type {readonly SystemPackage[]}
 */
const LOAD_GENERATORS = [
  { name: 'iperf3', commands: ['iperf3'], reason: 'benchmarks: throughput' },
  { name: 'wrk', commands: ['wrk'], reason: 'benchmarks: connections' },
];

/**
 * Needed only to build the npm package `cap`, which captures packets.
 * @type {readonly SystemPackage[]}
 */
const CAPTURE_BUILD = [
  {
    name: 'libpcap-dev',
    commands: [],
    files: ['/usr/include/pcap/pcap.h'],
    reason: 'capturing: podfence audit and wire',
  },
  ...['g++', 'make', 'python3'].map((name) => ({ name, commands: [name], reason: 'building the capture module' })),
];

const FAKETIME = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketime.so.1`;

/**
 * Only the tests on a real cluster need these: they build the image without a container engine, and
 * make an agent's clock jump.
 * @type {readonly SystemPackage[]}
 */
const CLUSTER = [
  { name: 'libfaketime', commands: [], files: [FAKETIME], reason: 'test:cluster: a clock that jumps' },
  { name: 'debootstrap', commands: ['debootstrap'], reason: 'test:cluster: the image, without a container engine' },
];

/**
 * Only the tests on Debian's own kernel need these.
 * @type {readonly SystemPackage[]}
 */
const KERNEL = [
  { name: 'qemu-system-x86', commands: ['qemu-system-x86_64'], reason: 'test:kernel: an emulated machine' },
  { name: 'busybox-static', commands: ['busybox'], reason: 'test:kernel: the programs of its initramfs' },
  { name: 'kmod', commands: ['modprobe', 'depmod'], reason: "test:kernel: the kernel's modules" },
];

/** Folders of administrators' commands, which a user's PATH may lack. */
const ADMIN_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/**
 * Returns a PATH that also contains the folders of administrators' commands.
 * @param {string | undefined} path
 */
export function withAdminFolders(path) {
  const folders = (path ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...folders, ...ADMIN_FOLDERS.filter((folder) => !folders.includes(folder))].join(delimiter);
}

/**
 * Returns the packages of which a command is missing.
 * @param {string} path folders to look in, as in PATH
 * @returns {readonly SystemPackage[]}
 */
export function missingPackages(path) {
  return PACKAGES.filter((each) => isMissing(each, path));
}

/**
 * Like `missingPackages`, for the browser that tests need in addition.
 * @param {string} path folders to look in, as in PATH
 * @returns {readonly SystemPackage[]}
 */
export function missingBrowser(path) {
  return isMissing(BROWSER, path) ? [BROWSER] : [];
}

/**
 * Like `missingPackages`, for what benchmarks with real packets need in addition.
 * @param {string} path folders to look in, as in PATH
 * @returns {readonly SystemPackage[]}
 */
export function missingLoadGenerators(path) {
  return LOAD_GENERATORS.filter((each) => isMissing(each, path));
}

/**
 * Like `missingPackages`, for what building the optional npm packages needs.
 * @param {string} path folders to look in, as in PATH
 * @param {string} [root] root of the file system
 * @returns {readonly SystemPackage[]}
 */
export function missingForCapture(path, root = '') {
  return CAPTURE_BUILD.filter((each) => isMissing(each, path, root));
}

/**
 * Like `missingPackages`, for what tests on a real cluster need in addition.
 * @param {string} path folders to look in, as in PATH
 * @returns {readonly SystemPackage[]}
 */
export function missingForCluster(path) {
  return CLUSTER.filter((each) => isMissing(each, path));
}

/**
 * Like `missingPackages`, for what tests on Debian's own kernel need in addition.
 * @param {string} path folders to look in, as in PATH
 * @returns {readonly SystemPackage[]}
 */
export function missingForKernel(path) {
  return KERNEL.filter((each) => isMissing(each, path));
}

/**
 * Returns the path of the browser for tests, if there is one.
 * @param {string} path folders to look in, as in PATH
 */
export function findBrowser(path) {
  return BROWSER.commands.map((command) => findCommand(command, path)).find((found) => found !== undefined);
}

/**
 * @param {SystemPackage} systemPackage
 * @param {string} path
 */
function isMissing({ commands, alternatives, files = [] }, path, root = '') {
  if (files.some((file) => !existsSync(root + file))) return true;
  const found = commands.filter((command) => findCommand(command, path) !== undefined);
  return alternatives ? found.length === 0 : found.length < commands.length;
}

/**
 * @param {string} command
 * @param {string} path
 */
export function findCommand(command, path) {
  return path
    .split(delimiter)
    .map((folder) => join(folder, command))
    .find(isExecutable);
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Returns why missing packages cannot be installed here; undefined if they can. */
export function installObstacle({ platform = process.platform, uid = process.getuid?.(), path = '' } = {}) {
  if (platform !== 'linux') return 'this is not Linux';
  if (uid !== 0) return 'only root can install packages';
  if (findCommand('apt-get', path) === undefined) return 'there is no apt-get here';
  return undefined;
}

/**
 * Returns one line: what is missing, why set-up cannot install it, and what works without it.
 * @param {readonly SystemPackage[]} missing
 * @param {string} obstacle
 */
export function describeMissing(missing, obstacle) {
  const names = missing.map(({ name }) => name).join(', ');
  return `missing: ${names} (${obstacle}). Without: the demo judges its packets in memory, tests that need real packets are skipped by name.`;
}

/**
 * Installs packages with apt-get, and prints which and why.
 * @param {readonly SystemPackage[]} missing
 * @param {string} path folders to look for commands in, as in PATH
 * @throws {SetupError}
 */
export async function installPackages(missing, path) {
  const since = Date.now();
  const names = missing.map(({ name }) => name);
  say(`installing system packages: ${missing.map(({ name, reason }) => `${name} (${reason})`).join(', ')}`);
  const env = { ...process.env, PATH: path, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (/** @type {string[]} */ ...args) =>
    runCaptured('apt-get', ['-y', '-q', '-o', 'DPkg::Lock::Timeout=300', ...args], { env });
  // One broken source among several fails the update; the lists that were fetched are often enough.
  const update = await apt('update');
  let install = await apt('install', '--no-install-recommends', ...names);
  if (install.output.includes('dpkg --configure -a')) {
    // An earlier installation was interrupted.
    await runCaptured('dpkg', ['--configure', '-a'], { env });
    install = await apt('install', '--no-install-recommends', ...names);
  }
  const still = missing.filter((each) => isMissing(each, path));
  if (install.ok && still.length === 0) {
    say(`installed in ${elapsed(since)}`);
    return;
  }
  throw new SetupError(`could not install the system packages ${names.join(', ')}`, {
    command: commandLine('apt-get', ['install', '--no-install-recommends', ...names]),
    output: update.ok ? install.output : `${update.output}\n${install.output}`,
    advice: 'check the network and /etc/apt/sources.list, or install them yourself, then run the same command again',
  });
}

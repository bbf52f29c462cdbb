/**
 * `npm run lockfile`, after `npm install PACKAGE`: adds the optional packages of every platform to
 * package-lock.json. npm leaves out those that its registry does not have (a mirror may lack other
 * platforms' builds), and `npm ci` then refuses the lockfile everywhere. The added entries have no
 * checksum, because the packages were not downloaded; npm checks an entry only on its own platform.
 */
import './oldest-node.mjs';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} LockedPackage
 * @property {string} [version]
 * @property {string} [integrity]
 * @property {string} [resolved]
 * @property {boolean} [dev]
 * @property {boolean} [optional]
 * @property {string[]} [os]
 * @property {string[]} [cpu]
 * @property {string[]} [libc]
 * @property {Record<string, string>} [optionalDependencies]
 */
/** @typedef {{ packages: Record<string, LockedPackage> }} Lockfile */

/**
 * `biome-darwin-arm64`, `binding-linux-x64-musl`: Node's names for system and processor, sometimes
 * followed by the C library.
 */
const PLATFORM = /(aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)-([a-z0-9]+)(?:-([a-z]+))?$/;

/**
 * Returns the optional dependencies that have no entry of their own.
 * @param {Lockfile} lockfile
 * @returns {{ name: string, version: string, dev: boolean }[]}
 */
export function missingOptionalPackages({ packages }) {
  return Object.entries(packages).flatMap(([path, { optionalDependencies = {}, dev = false }]) =>
    Object.entries(optionalDependencies)
      .filter(([name]) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages))
      .map(([name, version]) => ({ name, version, dev })),
  );
}

/**
 * @param {Lockfile} lockfile
 * @returns {Lockfile}
 */
export function completeLockfile(lockfile) {
  const packages = { ...lockfile.packages };
  for (const { name, version, dev } of missingOptionalPackages(lockfile)) {
    const [, os, cpu, abi] = PLATFORM.exec(name) ?? [];
    if (os === undefined || cpu === undefined || !/^\d/.test(version)) {
      throw new Error(`cannot tell the platform or the exact version of ${name}@${version}`);
    }
    /** @type {LockedPackage} */
    const entry = { version, cpu: [cpu] };
    if (dev) entry.dev = true;
    if (os === 'linux' && abi?.startsWith('musl')) entry.libc = ['musl'];
    if (os === 'linux' && abi?.startsWith('gnu')) entry.libc = ['glibc'];
    packages[`node_modules/${name}`] = { ...entry, optional: true, os: [os] };
  }
  const paths = Object.keys(packages).sort((a, b) => a.localeCompare(b, 'en'));
  return { ...lockfile, packages: Object.fromEntries(paths.map((path) => [path, packages[path] ?? {}])) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'package-lock.json');
  const lockfile = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, `${JSON.stringify(completeLockfile(lockfile), null, 2)}\n`);
  console.log(missingOptionalPackages(lockfile).length, 'packages of other platforms added');
}

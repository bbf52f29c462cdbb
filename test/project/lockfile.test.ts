import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { completeLockfile, missingOptionalPackages } from '../../setup/complete-lockfile.mjs';

const ROOT = join(import.meta.dirname, '../..');
const readJson = (file: string) => JSON.parse(readFileSync(join(ROOT, file), 'utf8'));

const lockfile = readJson('package-lock.json') as {
  name: string;
  version: string;
  packages: Record<string, { version?: string; resolved?: string; integrity?: string; optional?: boolean }>;
};
const manifest = readJson('package.json') as {
  name: string;
  version: string;
  license: string;
  engines: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};
const installed = Object.entries(lockfile.packages).filter(([path]) => path !== '');

describe('package-lock.json', () => {
  it('contains no download address, so that it works with every registry', () => {
    expect(installed.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    expect(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).not.toMatch(/https?:\/\/[^"]*\.tgz/);
  });

  it('is of the same package and version as package.json', () => {
    expect([lockfile.name, lockfile.version]).toEqual([manifest.name, manifest.version]);
  });

  it('has a checksum for every package except builds for other platforms', () => {
    const unchecked = installed.filter(([, { integrity, optional }]) => integrity === undefined && optional !== true);
    expect(unchecked).toEqual([]);
  });

  it('names the optional packages of every platform, without which npm ci refuses it (npm run lockfile adds them)', () => {
    expect(missingOptionalPackages(lockfile)).toEqual([]);
  });
});

describe('package.json', () => {
  it('pins every dependency to one version, and the lockfile has that one', () => {
    for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
      expect(lockfile.packages[`node_modules/${name}`]?.version, name).toBe(version);
    }
  });

  it('asks for Node 24 or newer', () => {
    expect(manifest.engines).toEqual({ node: '>=24' });
  });

  it('names the licence whose text is LICENSE', () => {
    expect(manifest.license).toBe('Apache-2.0');
    expect(readFileSync(join(ROOT, 'LICENSE'), 'utf8')).toMatch(/^\s*Apache License\s+Version 2\.0, January 2004/);
  });
});

describe('completing a lockfile', () => {
  const tool = {
    version: '1.0.0',
    dev: true,
    optionalDependencies: { 'tool-linux-x64-musl': '1.0.0', 'tool-darwin-arm64': '1.0.0' },
  };

  it('adds what npm left out, for its platform only', () => {
    const { packages } = completeLockfile({ packages: { 'node_modules/tool': tool } });
    expect(packages['node_modules/tool-linux-x64-musl']).toEqual({
      version: '1.0.0',
      dev: true,
      optional: true,
      os: ['linux'],
      cpu: ['x64'],
      libc: ['musl'],
    });
    expect(packages['node_modules/tool-darwin-arm64']).toMatchObject({ os: ['darwin'], cpu: ['arm64'] });
  });

  it('leaves existing entries as they are', () => {
    const known = { version: '1.0.0', integrity: 'sha512-known' };
    const { packages } = completeLockfile({
      packages: { 'node_modules/tool': tool, 'node_modules/tool-darwin-arm64': known },
    });
    expect(packages['node_modules/tool-darwin-arm64']).toBe(known);
  });

  it('refuses a package whose platform is unclear', () => {
    const packages = { 'node_modules/tool': { optionalDependencies: { fsevents: '2.3.3' } } };
    expect(() => completeLockfile({ packages })).toThrow('fsevents@2.3.3');
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Instruction, parseDockerfile, type Stage, substitute } from './dockerfile.ts';
import { PROJECT } from './folders.ts';

const stages = parseDockerfile(readFileSync(join(PROJECT, 'Dockerfile'), 'utf8'));
const packageJson = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'));
const image = stages.at(-1) as Stage;

function all<Kind extends Instruction['kind']>(stage: Stage, kind: Kind): Extract<Instruction, { kind: Kind }>[] {
  return stage.instructions.filter((step): step is Extract<Instruction, { kind: Kind }> => step.kind === kind);
}

const scripts = (stage: Stage) => all(stage, 'RUN').map(({ script }) => script);

describe('the image', () => {
  it('is based on Debian and runs the Node version that the package requires', () => {
    expect(image.image).toBe('debian:bookworm-slim');
    const major = /\d+/.exec(packageJson.engines.node)?.[0];
    expect(new Set(stages.slice(0, -1).map((stage) => stage.image))).toEqual(new Set([`node:${major}-bookworm-slim`]));
  });

  it('installs the tools of steering and libpcap, without recommended packages', () => {
    const [script = '', ...more] = scripts(image);
    expect(more).toEqual([]);
    expect(script).toContain(
      'apt-get install -y --no-install-recommends nftables iptables ipset libpcap0.8 libstdc++6 ',
    );
  });

  it('is built without executing anything of the target before its last stage', () => {
    const executing = stages.slice(0, -1).filter((stage) => scripts(stage).length > 0);
    expect(executing.map(({ name }) => name)).toEqual(['build', 'packages']);
    expect(executing.filter(({ native }) => !native)).toEqual([]);
    expect(image.native).toBe(false);
  });

  it('has the packages of the target without development packages and install scripts', () => {
    const packages = stages.find(({ name }) => name === 'packages') as Stage;
    expect(scripts(packages).join()).toMatch(/npm ci --omit=dev --ignore-scripts --os=linux --cpu=\$cpu --libc=glibc /);
  });

  it('starts podfence as root, and names its port', () => {
    expect(all(image, 'ENTRYPOINT').map(({ command }) => command)).toEqual([['podfence']]);
    expect(all(image, 'USER').map(({ user }) => user)).toEqual(['0:0']);
    expect(all(image, 'EXPOSE').map(({ port }) => port)).toEqual([9464]);
  });

  it('is labelled with the version, licence and description of the package', () => {
    const values = new Map(all(image, 'ARG').map(({ name, value = '' }) => [name, value]));
    const labels = new Map(all(image, 'LABEL').map(({ name, value }) => [name, substitute(value, values)]));
    const label = (name: string) => labels.get(`org.opencontainers.image.${name}`);
    expect([label('version'), label('licenses'), label('description')]).toEqual([
      packageJson.version,
      packageJson.license,
      packageJson.description.replace(', with its own connection tracking', ''),
    ]);
  });

  it('gets from the checkout exactly what .dockerignore lets through', () => {
    const copied = stages.flatMap((stage) => all(stage, 'COPY').filter(({ from }) => from === undefined));
    const [everything, ...allowed] = readFileSync(join(PROJECT, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(everything).toBe('*');
    expect(new Set(allowed)).toEqual(new Set(copied.flatMap(({ sources }) => sources.map((source) => `!${source}`))));
  });
});

describe('reading a Dockerfile', () => {
  it('joins continued lines and skips comments', () => {
    expect(parseDockerfile('# a\nFROM x AS y\nRUN a \\\n  # b\n  && c\n')).toEqual([
      { image: 'x', native: false, name: 'y', instructions: [{ kind: 'RUN', script: 'a && c' }] },
    ]);
  });

  it.each([
    'RUN x',
    'FROM x\nADD a b',
    'FROM x\nRUN --mount=type=cache x',
    'FROM x\nCOPY --chmod=755 a b',
    'FROM x\nRUN a \\',
  ])('refuses %j', (text) => {
    expect(() => parseDockerfile(text)).toThrow(/^(Dockerfile:\d+: |RUN before FROM)/);
  });
});

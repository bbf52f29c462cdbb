/**
 * What the agent knows of manifests that it follows, while they are changed, broken and repaired.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ClusterChange, TakeChanges } from '../../src/cluster/store.ts';
import { ManifestWatch } from '../../src/manifests/manifest-watch.ts';
import { eventually } from '../patience.ts';

const POD =
  'apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: [{name: c, image: i}]}\n';
const policy = (name: string, namespace = 'shop') =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {podSelector: {}}\n`;
const STANDS = 'the last known state stays in force';

let root: string;
let folder: string;
let watched: ManifestWatch | undefined;
let logged: string;
let changes: ClusterChange[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'podfence-manifest-watch-'));
  folder = join(root, 'policies');
  mkdirSync(folder);
  logged = '';
  changes = [];
});
afterEach(async () => {
  await watched?.stop();
  watched = undefined;
  rmSync(root, { recursive: true });
});

const write = (name: string, content: string | Uint8Array) => writeFileSync(join(folder, name), content);

/** Saves a file as editors do. */
function replace(name: string, content: string): void {
  writeFileSync(join(root, 'new'), content);
  renameSync(join(root, 'new'), join(folder, name));
}

async function follow(...paths: readonly string[]): Promise<void> {
  const write = (line: string) => {
    logged += line;
  };
  const log = pino({}, { write });
  const onChanges = (take: TakeChanges) => void changes.push(...take());
  watched = new ManifestWatch({ paths, nodeName: 'node-1', log, onChanges });
  watched.start();
  await watched.synced;
}

function known(): string[] {
  const { pods = [], policies = [] } = watched?.snapshot() ?? {};
  return [...pods, ...policies].map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`);
}

describe('followed manifests', () => {
  it.each<[string, () => void, string]>([
    ['emptied', () => write('all.yaml', ''), 'the file contains no object'],
    ['binary', () => write('all.yaml', new Uint8Array([1, 0, 2])), 'the file is binary'],
    ['unparseable', () => write('all.yaml', `${POD}  spec: [}`), 'all.yaml:'],
    ['removed', () => rmSync(join(folder, 'all.yaml')), 'the folder contains no *.yaml, *.yml or *.json file'],
    ['removed with its folder', () => rmSync(folder, { recursive: true }), 'there is no such file or folder'],
    [
      'invalid in the namespace of its policy',
      () => write('all.yaml', `${POD}---\n${policy('a', '[shop]')}`),
      'namespace',
    ],
  ])('are kept while the file is %s, and are followed again when it is repaired', async (_, breakIt, problem) => {
    write('all.yaml', `${POD}---\n${policy('a')}`);
    await follow(folder);
    breakIt();
    await eventually(() => expect(logged).toContain(STANDS));
    expect(logged).toContain(problem);
    expect(changes).toEqual([]);
    expect(known()).toEqual(['Pod shop/web', 'NetworkPolicy shop/a']);
    mkdirSync(folder, { recursive: true });
    write('all.yaml', `${POD}---\n${policy('b')}`);
    await eventually(() => expect(known()).toEqual(['Pod shop/web', 'NetworkPolicy shop/b']));
  });

  it('are kept while the only named file is gone', async () => {
    write('all.yaml', POD);
    await follow(join(folder, 'all.yaml'));
    rmSync(join(folder, 'all.yaml'));
    await eventually(() => expect(logged).toContain(STANDS));
    expect(known()).toEqual(['Pod shop/web']);
  });

  it('lose the policy of a file that is deleted from a folder with other files', async () => {
    write('pod.yaml', POD);
    write('policy.yaml', policy('a'));
    await follow(folder);
    rmSync(join(folder, 'policy.yaml'));
    await eventually(() => expect(known()).toEqual(['Pod shop/web']));
    expect(changes).toMatchObject([{ type: 'delete', record: { kind: 'NetworkPolicy', name: 'a' } }]);
    expect(logged).not.toContain(STANDS);
  });

  it('change while another file is still broken as it was at the start', async () => {
    write('broken.yaml', 'kind: Pod\nmetadata: {name: [b]}\n');
    write('policy.yaml', policy('a'));
    await follow(folder);
    write('policy.yaml', policy('b'));
    await eventually(() => expect(known()).toEqual(['NetworkPolicy shop/b']));
  });

  it('are kept when a second pod breaks in the way in which one was broken at the start', async () => {
    const nameless = POD.replace('name: web, ', '');
    write('all.yaml', `${nameless}---\n${POD}`);
    await follow(folder);
    write('all.yaml', `${nameless}---\n${nameless}`);
    await eventually(() => expect(logged).toContain(STANDS));
    expect(known()).toEqual(['Pod shop/web']);
  });

  it('keep isolating by a policy that becomes invalid, which then allows nothing', async () => {
    write('all.yaml', `${POD}---\n${policy('a')}`);
    await follow(folder);
    write('all.yaml', `${POD}---\n${policy('a').replace('{podSelector: {}}', '{podSelector: {}, ingress: 7}')}`);
    await eventually(() =>
      expect(changes).toMatchObject([
        { type: 'set', record: { name: 'a', isolates: ['ingress'], ingress: [], error: expect.anything() } },
      ]),
    );
    expect(logged).not.toContain(STANDS);
  });

  it.each([
    ['a folder', () => folder],
    ['a file', () => join(folder, 'all.yaml')],
  ])('follow every file that is renamed over another: %s', async (_, path) => {
    write('all.yaml', policy('first'));
    await follow(path());
    for (const name of ['second', 'third', 'fourth']) {
      replace('all.yaml', policy(name));
      await eventually(() => expect(known()).toEqual([`NetworkPolicy shop/${name}`]));
    }
  });

  it('follow every change in a folder that was created again', async () => {
    write('all.yaml', policy('first'));
    await follow(folder);
    rmSync(folder, { recursive: true });
    await eventually(() => expect(logged).toContain(STANDS));
    mkdirSync(folder);
    for (const name of ['second', 'third']) {
      write('all.yaml', policy(name));
      await eventually(() => expect(known()).toEqual([`NetworkPolicy shop/${name}`]));
    }
  });
});

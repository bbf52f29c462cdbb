import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { DAEMONSET } from './folders.ts';
import { identity, type KubeObject, renderKustomization, strategicMerge } from './kustomize.ts';

/** `kubectl kustomize`, of a version that knows components. */
function kubectlKustomize(folder: string): KubeObject[] | undefined {
  const { status, stdout } = spawnSync('kubectl', ['kustomize', folder], { encoding: 'utf8' });
  return status === 0 ? parseAllDocuments(stdout).map((document) => document.toJS()) : undefined;
}

const hasKubectl = kubectlKustomize(join(DAEMONSET, 'monitored')) !== undefined;

function kustomization(content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'podfence-kustomize-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'kustomization.yaml'), content);
  return folder;
}

describe('the renderer of kustomizations', () => {
  it.skipIf(!hasKubectl).each(['base', 'kind', 'monitored'])('gives what kubectl gives for daemonset/%s', (name) => {
    const sorted = (objects: readonly KubeObject[] = []) =>
      objects.toSorted((a, b) => identity(a).localeCompare(identity(b)));
    const folder = join(DAEMONSET, name);
    expect(sorted(renderKustomization(folder))).toEqual(sorted(kubectlKustomize(folder)));
  });

  it('refuses a field that it does not know', () => {
    const folder = kustomization('apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamePrefix: x-\n');
    expect(() => renderKustomization(folder)).toThrow('namePrefix is not known');
  });

  it('refuses a component where a kustomization is asked for', () => {
    const folder = kustomization('apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n');
    expect(() => renderKustomization(folder)).toThrow('expected a Kustomization');
  });
});

describe('a strategic merge', () => {
  it('takes a field away with null', () => {
    expect(strategicMerge({ a: 1, b: 2 }, { a: null })).toEqual({ b: 2 });
  });

  it('merges items of the same name and puts new ones first', () => {
    const containers = [{ name: 'a', image: 'x', args: ['1', '2'] }];
    expect(strategicMerge({ containers }, { containers: [{ name: 'a', args: ['3'] }, { name: 'b' }] })).toEqual({
      containers: [{ name: 'b' }, { name: 'a', image: 'x', args: ['3'] }],
    });
  });
});

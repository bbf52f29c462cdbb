/**
 * The kustomizations of daemonset/ as kustomize renders them: the command, or the one inside
 * kubectl.
 *
 *     go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parse, stringify } from 'yaml';
import { DAEMONSET } from './folders.ts';
import { byIdentity, type KubeObject, parseObjects } from './objects.ts';

/** The first major version of kubectl's kustomize that supports components. */
const KNOWS_COMPONENTS = 4;

const COMMAND = findKustomize();

/** Whether kustomize is installed. */
export const hasKustomize = COMMAND !== undefined;

/** Appended to the names of tests that are skipped without it. */
export const NEEDS_KUSTOMIZE = hasKustomize ? '' : ' (needs kustomize or kubectl)';

function findKustomize(): readonly string[] | undefined {
  if (spawnSync('kustomize', ['version']).status === 0) return ['kustomize', 'build'];
  const { status, stdout } = spawnSync('kubectl', ['version', '--client', '-o', 'json'], { encoding: 'utf8' });
  const version = status === 0 ? /^v(\d+)\./.exec(JSON.parse(stdout).kustomizeVersion ?? '') : null;
  return Number(version?.[1]) >= KNOWS_COMPONENTS ? ['kubectl', 'kustomize'] : undefined;
}

/**
 * Returns the objects of a kustomization of daemonset/, sorted. Returns none without kustomize;
 * tests that need them are skipped then.
 */
export function kustomized(name: string): readonly KubeObject[] {
  return hasKustomize ? render(join(DAEMONSET, name)) : [];
}

/**
 * Returns daemonset/base with a patch of daemonset/ for its DaemonSet, as `kubectl patch` would
 * merge it.
 */
export function patchedBase(patch: string): readonly KubeObject[] {
  if (!hasKustomize) return [];
  const folder = mkdtempSync(join(tmpdir(), 'podfence-kustomize-'));
  try {
    const metadata = { name: 'podfence', namespace: 'podfence-system' };
    const change = parse(readFileSync(join(DAEMONSET, patch), 'utf8'));
    const whole = { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata, ...change };
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [relative(realpathSync(folder), join(DAEMONSET, 'base'))],
      patches: [{ patch: stringify(whole) }],
    };
    writeFileSync(join(folder, 'kustomization.yaml'), stringify(kustomization));
    return render(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function render(folder: string): readonly KubeObject[] {
  const [command = '', ...args] = COMMAND ?? [];
  const { status, stdout, stderr } = spawnSync(command, [...args, folder], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} cannot render ${folder}: ${stderr}`);
  return byIdentity(parseObjects(stdout));
}

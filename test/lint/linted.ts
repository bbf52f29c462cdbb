/** Lint's findings for manifests that a test writes as objects. */
import { expect } from 'vitest';
import type { Finding } from '../../src/lint/finding.ts';
import type { LintInput } from '../../src/lint/input.ts';
import { lint } from '../../src/lint/lint.ts';
import type { RuleName } from '../../src/lint/rules.ts';
import { load } from '../manifests/manifest-files.ts';

type Manifest = Readonly<Record<string, unknown>>;

export function policy(spec: Manifest, { name = 'p', namespace = 'shop', annotations = {} } = {}): Manifest {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace, annotations },
    spec: { podSelector: {}, ...spec },
  };
}

/**
 * Returns a pod `namespace/name` with its name as label `app`, and ports such as `http 8080` or
 * `9090/UDP`.
 */
export function pod(fullName: string, ports: readonly string[] = [], more: Manifest = {}): Manifest {
  const [namespace, name = ''] = fullName.split('/');
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name }, ...more },
    spec: { containers: [{ name: 'c', ports: ports.map(containerPort) }] },
  };
}

export function hostPod(fullName: string): Manifest {
  return { ...pod(fullName), spec: { hostNetwork: true, containers: [{ name: 'c' }] } };
}

function containerPort(text: string): Manifest {
  const [, name, port, protocol] = /^(?:(\S+) )?(\d+)(?:\/(\w+))?$/.exec(text) ?? [];
  return { ...(name && { name }), containerPort: Number(port), ...(protocol && { protocol }) };
}

export function namespace(name: string, labels: Readonly<Record<string, string>> = {}): Manifest {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

export function app(name: string): Manifest {
  return { podSelector: { matchLabels: { app: name } } };
}

export function inNamespace(name: string): Manifest {
  return { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } };
}

export async function lintAll(manifests: readonly Manifest[], more: Partial<LintInput> = {}) {
  const loaded = await load(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }));
  return lint({ ...loaded, ...more });
}

/** Returns the findings of one rule as `severity field: message | hint`. */
export async function findingsOf(
  rule: RuleName,
  manifests: readonly Manifest[],
  more: Partial<LintInput> = {},
): Promise<string[]> {
  const { findings } = await lintAll(manifests, more);
  return findings.filter((finding) => finding.rule === rule).map(textOf);
}

function textOf({ severity, field, message, hint }: Finding): string {
  return `${severity} ${field}: ${message}${hint === undefined ? '' : ` | ${hint}`}`;
}

/** Checks that a rule has exactly this finding for `wrong`, and none for `right`. */
export async function expectFinding(
  rule: RuleName,
  text: RegExp | string,
  wrong: readonly Manifest[],
  right: readonly Manifest[],
): Promise<void> {
  expect(await findingsOf(rule, wrong)).toEqual([expect.stringMatching(text)]);
  expect(await findingsOf(rule, right)).toEqual([]);
}

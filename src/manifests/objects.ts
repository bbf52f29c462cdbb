/** The Kubernetes objects in a document: splits Lists and determines each object's kind. */
import { describe, isMap, type Path, type Problem, show } from '../cluster/field.ts';
import { editDistance } from '../cluster/nearest.ts';
import type { WorkloadKind } from './workloads.ts';

export type ManifestKind = WorkloadKind | 'Namespace' | 'Pod' | 'Service' | 'NetworkPolicy';

/** An element of a document: an object to use, one to count only, or something else. */
export type Classified =
  | { readonly kind: ManifestKind; readonly problems: readonly Problem[] }
  | { readonly skip: string; readonly problems: readonly Problem[] }
  | { readonly problems: readonly Problem[] };

const API_VERSIONS: Readonly<Record<ManifestKind, string>> = {
  Namespace: 'v1',
  Pod: 'v1',
  Service: 'v1',
  Deployment: 'apps/v1',
  ReplicaSet: 'apps/v1',
  StatefulSet: 'apps/v1',
  DaemonSet: 'apps/v1',
  Job: 'batch/v1',
  CronJob: 'batch/v1',
  NetworkPolicy: 'networking.k8s.io/v1',
};

const KINDS = Object.keys(API_VERSIONS) as ManifestKind[];

/** Files of a Helm chart beside its templates. */
const NOT_MANIFESTS = /(?:^|\/)(?:Chart|values[^/]*)\.ya?ml$/;

/** kubectl accepts this file without kind and apiVersion. */
const KUSTOMIZATION = /(?:^|\/)kustomization\.ya?ml$/;

/** Directive of a strategic merge patch, such as `$patch: delete`. No object has this key. */
const PATCH = '$patch';

/** Lists nested deeper than this are not split. Tools nest them two deep at most. */
const DEEPEST = 8;

/** A part of a document, and its path there. */
export interface Element {
  readonly value: unknown;
  readonly path: Path;
}

/** Returns the document itself, or the items of a List and of Lists within it. */
export function elementsOf(document: unknown): readonly Element[] {
  const elements: Element[] = [];
  const pending: Element[] = [{ value: document, path: [] }];
  for (let element = pending.pop(); element !== undefined; element = pending.pop()) {
    const items = itemsOf(element.value);
    if (items === undefined || element.path.length >= 2 * DEEPEST) {
      elements.push(element);
      continue;
    }
    const { path } = element;
    const nested = items.map((value, index): Element => ({ value, path: [...path, 'items', index] }));
    for (const item of nested.reverse()) pending.push(item);
  }
  return elements;
}

function itemsOf(value: unknown): readonly unknown[] | undefined {
  if (!isMap(value) || typeof value.kind !== 'string' || !value.kind.endsWith('List')) return undefined;
  const { kind, apiVersion, items } = value;
  if (Array.isArray(items)) {
    // The items of a typed list (PodList), as the API server sends it, lack kind and apiVersion.
    const inherited = kind === 'List' ? {} : { apiVersion, kind: (kind as string).slice(0, -'List'.length) };
    return items.map((item) => (isMap(item) ? { ...inherited, ...item } : item));
  }
  return kind === 'List' && (items === undefined || items === null) ? [] : undefined;
}

/** Classifies an element by kind and apiVersion. `file` only serves hints. */
export function classify(value: unknown, file: string): Classified {
  if (!isMap(value)) {
    const hint = Array.isArray(value) ? 'Put the objects into the items of a List.' : undefined;
    return noObject([], `expected a Kubernetes object, found ${describe(value)}`, hint);
  }
  const { kind, apiVersion } = value;
  if (typeof kind !== 'string' || kind === '') return withoutKind(value, file);
  if (PATCH in value) return { skip: `${kind} (${PATCH})`, problems: [] };
  if (kind === 'List' || KINDS.some((candidate) => `${candidate}List` === kind)) {
    const isDeep = Array.isArray(value.items);
    return problem(
      ['items'],
      isDeep ? 'the Lists are nested too deeply' : `expected a list, found ${describe(value.items)}`,
    );
  }
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    const meant = meantKind(kind, undefined);
    const hint = meant === undefined ? undefined : `Did you mean ${API_VERSIONS[meant]}?`;
    const { problems } = problem(['apiVersion'], 'the object has no apiVersion', hint);
    return meant === undefined ? { problems } : { kind: meant, problems };
  }
  const known = KINDS.find((candidate) => candidate === kind);
  if (known !== undefined) return withVersion(known, apiVersion);
  const meant = meantKind(kind, apiVersion);
  if (meant === undefined) return { skip: kind, problems: [] };
  return { kind: meant, ...problem(['kind'], `${apiVersion} has no kind ${show(kind)}`, `Did you mean ${meant}?`) };
}

function withVersion(kind: ManifestKind, apiVersion: string): Classified {
  const wanted = API_VERSIONS[kind];
  if (apiVersion === wanted) return { kind, problems: [] };
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  const skip = `${kind} (${apiVersion})`;
  // Another project's kind of the same name: Calico's NetworkPolicy, Knative's Service.
  if (group.includes('.') && !group.endsWith('.k8s.io')) return { skip, problems: [] };
  const hint = `Did you mean ${wanted}?`;
  if (kind === 'NetworkPolicy' && group === 'extensions') {
    return {
      skip,
      ...problem(['apiVersion'], `Kubernetes 1.16 removed ${apiVersion}: this policy is not enforced`, hint),
    };
  }
  // Former versions of workloads, which old charts still use.
  if (kind !== 'NetworkPolicy' && /^(?:apps|extensions|batch)\/v\d+(?:alpha|beta)\d+$/.test(apiVersion))
    return { kind, problems: [] };
  return { kind, ...problem(['apiVersion'], `there is no ${kind} in ${show(apiVersion)}`, hint) };
}

function withoutKind(value: Record<string, unknown>, file: string): Classified {
  const { kind, apiVersion, spec } = value;
  const message =
    typeof kind === 'string' || kind === undefined || kind === null
      ? 'the object has no kind'
      : `expected a kind, found ${describe(kind)}`;
  if (KUSTOMIZATION.test(file)) return { skip: 'Kustomization', problems: [] };
  if (NOT_MANIFESTS.test(file)) {
    return noObject(['kind'], message, 'This is part of a Helm chart: give the output of `helm template` instead.');
  }
  const misspelt = Object.keys(value).find((key) => key !== 'kind' && editDistance(key.toLowerCase(), 'kind') <= 1);
  if (misspelt !== undefined) return problem([misspelt], message, `Did you mean kind: instead of ${show(misspelt)}?`);
  const isPolicy =
    apiVersion === API_VERSIONS.NetworkPolicy && isMap(spec) && ('podSelector' in spec || 'policyTypes' in spec);
  if (isPolicy) return { kind: 'NetworkPolicy', ...problem(['kind'], message, 'Did you mean NetworkPolicy?') };
  return apiVersion === undefined ? noObject(['kind'], message) : problem(['kind'], message);
}

/**
 * Returns the kind that was probably meant, among those of the apiVersion. Stricter than a hint,
 * because most unknown kinds are not misspelt.
 */
function meantKind(kind: string, apiVersion: string | undefined): ManifestKind | undefined {
  const wanted = kind.toLowerCase();
  const farthest = Math.max(1, Math.floor(kind.length / 5));
  return KINDS.find(
    (known) =>
      (apiVersion === undefined || API_VERSIONS[known] === apiVersion) &&
      kind.length <= 32 &&
      editDistance(wanted, known.toLowerCase()) <= farthest,
  );
}

function noObject(path: Path, message: string, hint?: string): { readonly problems: readonly Problem[] } {
  const { problems } = problem(path, message, hint);
  return { problems: problems.map((each) => ({ ...each, isNoObject: true })) };
}

function problem(path: Path, message: string, hint?: string): { readonly problems: readonly Problem[] } {
  return { problems: [hint === undefined ? { path, message } : { path, message, hint }] };
}

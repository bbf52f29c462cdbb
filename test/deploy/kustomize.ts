/**
 * Renders the kustomizations in daemonset/ where there is no kustomize: the few fields that they use, as kustomize does it, and an error for
 * all others. It is for these tests only; where kubectl is installed, kustomize.test.ts holds it against the real one. See
 * https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };
export type Fields = { readonly [key: string]: Value };

export interface KubeObject extends Fields {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: Value };
}

interface Kustomization {
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly patches?: readonly { readonly path: string }[];
  readonly images?: readonly { readonly name: string; readonly newName?: string; readonly newTag?: string }[];
}

const FIELDS = ['apiVersion', 'kind', 'resources', 'components', 'patches', 'images'];
const KINDS = new Map([
  ['Kustomization', 'kustomize.config.k8s.io/v1beta1'],
  ['Component', 'kustomize.config.k8s.io/v1alpha1'],
]);

/** The objects of the kustomization in `folder`, in the order of its files. Throws where it uses what this does not know. */
export function renderKustomization(folder: string): KubeObject[] {
  return apply(readKustomization(folder, 'Kustomization'), folder, []);
}

/** All objects of a file. */
function readObjects(file: string): KubeObject[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).map((document) => {
    if (document.errors.length > 0) throw new Error(`${file}: ${document.errors[0]?.message}`);
    return document.toJS() as KubeObject;
  });
}

/** Kind, namespace and name: what tells objects apart. */
export function identity({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
}

function readKustomization(folder: string, kind: 'Kustomization' | 'Component'): Kustomization {
  const content = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8'));
  const unknown = Object.keys(content).filter((field) => !FIELDS.includes(field));
  if (unknown.length > 0) throw new Error(`${folder}: the field ${unknown.join(', ')} is not known to this renderer`);
  if (content.kind !== kind || content.apiVersion !== KINDS.get(kind)) {
    throw new Error(`${folder}: expected a ${kind} of ${KINDS.get(kind)}`);
  }
  return content;
}

function apply(kustomization: Kustomization, folder: string, before: readonly KubeObject[]): KubeObject[] {
  const { resources = [], components = [], patches = [], images = [] } = kustomization;
  let objects = [...before, ...resources.flatMap((path) => readResource(join(folder, path)))];
  const names = objects.map(identity);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`${folder}: ${twice} comes twice`);
  for (const path of components) {
    const component = join(folder, path);
    objects = apply(readKustomization(component, 'Component'), component, objects);
  }
  for (const patch of patches) {
    const extra = Object.keys(patch).filter((field) => field !== 'path');
    if (extra.length > 0) throw new Error(`${folder}: patches with ${extra.join(', ')} are not known to this renderer`);
    for (const change of readObjects(join(folder, patch.path))) objects = patchOne(objects, change);
  }
  return objects.map((object) => images.reduce(setImage, object));
}

function readResource(path: string): KubeObject[] {
  return path.endsWith('.yaml') ? readObjects(path) : renderKustomization(path);
}

function patchOne(objects: readonly KubeObject[], patch: KubeObject): KubeObject[] {
  const name = identity(patch);
  if (!objects.some((object) => identity(object) === name)) throw new Error(`nothing to patch: ${name}`);
  return objects.map((object) => (identity(object) === name ? (strategicMerge(object, patch) as KubeObject) : object));
}

/** Lists whose items are told apart by a key; all others are replaced as a whole. As `patchMergeKey` in the API's types has it. */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
  ports: 'containerPort',
};

/** A strategic merge patch, without directives. `null` takes a field away. */
export function strategicMerge(object: Fields, patch: Fields): Fields {
  const merged: Record<string, Value> = { ...object };
  for (const [field, change] of Object.entries(patch)) {
    if (field.startsWith('$')) throw new Error(`${field} is not known to this renderer`);
    const current = merged[field];
    if (change === null) delete merged[field];
    else if (isFields(change)) merged[field] = strategicMerge(isFields(current) ? current : {}, change);
    else if (Array.isArray(change)) merged[field] = mergeList(field, Array.isArray(current) ? current : [], change);
    else merged[field] = change;
  }
  return merged;
}

function mergeList(field: string, current: readonly Value[], changes: readonly Value[]): readonly Value[] {
  const key = MERGE_KEYS[field];
  if (key === undefined) return changes;
  const merged = [...current] as Fields[];
  const added: Fields[] = [];
  for (const change of changes as readonly Fields[]) {
    const index = merged.findIndex((item) => item[key] === change[key]);
    if (index >= 0) merged[index] = strategicMerge(merged[index] ?? {}, change);
    else added.push(strategicMerge({}, change));
  }
  return [...added, ...merged];
}

function isFields(value: Value | undefined): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** In every container of the object. */
function setImage(object: KubeObject, image: NonNullable<Kustomization['images']>[number]): KubeObject {
  const visit = (value: Value): Value => {
    if (Array.isArray(value)) return value.map(visit);
    if (!isFields(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([field, inner]) =>
        field === 'image' && typeof inner === 'string' ? [field, rename(inner, image)] : [field, visit(inner)],
      ),
    );
  };
  return visit(object) as KubeObject;
}

function rename(image: string, change: NonNullable<Kustomization['images']>[number]): string {
  const [, name = '', tag = ''] = /^(.*?)(:[^:/]+)?$/.exec(image) ?? [];
  if (name !== change.name) return image;
  return `${change.newName ?? name}${change.newTag === undefined ? tag : `:${change.newTag}`}`;
}

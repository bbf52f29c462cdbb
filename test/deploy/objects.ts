/** Objects of the Kubernetes API as manifests contain them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { DAEMONSET } from './folders.ts';

export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: Value };
  readonly [key: string]: Value;
}

/** Returns every object of YAML documents. Throws if one cannot be read. */
export function parseObjects(text: string): readonly KubeObject[] {
  return parseAllDocuments(text)
    .map((document) => {
      if (document.errors[0] !== undefined) throw document.errors[0];
      return document.toJS() as KubeObject | null;
    })
    .filter((object) => object !== null);
}

/** Returns the objects of daemonset/install.yaml, which are those of daemonset/base. */
export function installedObjects(): readonly KubeObject[] {
  return parseObjects(readFileSync(join(DAEMONSET, 'install.yaml'), 'utf8'));
}

/** Returns kind, namespace and name, which identify an object. */
export function identity({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
}

export function byIdentity(objects: readonly KubeObject[]): readonly KubeObject[] {
  return objects.toSorted((a, b) => identity(a).localeCompare(identity(b)));
}

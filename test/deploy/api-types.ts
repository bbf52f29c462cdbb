/**
 * Checks objects against the types of the Kubernetes API: unknown fields, fields of another type,
 * and missing required fields. The types are those of @kubernetes/client-node, which are generated
 * from the API server's own description.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as client from '@kubernetes/client-node';
import type { KubeObject } from './objects.ts';

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}

/** Versions whose kinds are looked up as `V1` plus their name. */
const API_VERSIONS = ['v1', 'apps/v1', 'rbac.authorization.k8s.io/v1'];

const MODELS = join(dirname(fileURLToPath(import.meta.resolve('@kubernetes/client-node'))), 'gen', 'models');

/** Returns what is wrong with the object, each with the path of the field; [] if it is valid. */
export function apiProblems(object: KubeObject): string[] {
  if (!API_VERSIONS.includes(object.apiVersion)) return [`apiVersion: there are no types of ${object.apiVersion}`];
  const type = `V1${object.kind}`;
  return attributesOf(type) === undefined
    ? [`kind: there is no ${object.kind} in ${object.apiVersion}`]
    : problems(object, type, '');
}

function problems(value: unknown, type: string, path: string): string[] {
  const wrong = [`${path}: ${JSON.stringify(value)} is no ${type}`];
  const element = /^Array<(.*)>$/.exec(type)?.[1];
  if (element !== undefined) {
    return Array.isArray(value) ? value.flatMap((item, i) => problems(item, element, `${path}[${i}]`)) : wrong;
  }
  const mapped = /^\{ \[key: string\]: (.*); \}$/.exec(type)?.[1];
  if (mapped !== undefined) {
    if (!isObject(value)) return wrong;
    return Object.entries(value).flatMap(([key, item]) => problems(item, mapped, `${path}.${key}`));
  }
  switch (type) {
    case 'any':
      return [];
    case 'IntOrString':
      return Number.isInteger(value) || typeof value === 'string' ? [] : wrong;
    case 'number':
      return Number.isInteger(value) ? [] : wrong;
    case 'string':
    case 'boolean':
      return typeof value === type ? [] : wrong;
    default:
      return isObject(value) ? objectProblems(value, type, path) : wrong;
  }
}

function objectProblems(value: Record<string, unknown>, type: string, path: string): string[] {
  const attributes = attributesOf(type);
  if (attributes === undefined) return [`${path}: there is no type ${type}`];
  const known = new Map(attributes.map(({ baseName, type: inner }) => [baseName, inner]));
  const missing = requiredFields(type).filter((field) => !(field in value));
  return [
    ...missing.map((field) => `${path}.${field}: is missing`),
    ...Object.entries(value).flatMap(([field, inner]) => {
      const innerType = known.get(field);
      return innerType === undefined
        ? [`${path}.${field}: ${type} has no such field`]
        : problems(inner, innerType, `${path}.${field}`);
    }),
  ];
}

function attributesOf(type: string): readonly Attribute[] | undefined {
  const model = (client as unknown as Record<string, { getAttributeTypeMap?(): readonly Attribute[] }>)[type];
  return model?.getAttributeTypeMap?.();
}

/**
 * Reads the declarations, because only they tell: `'name': string` is required, `'name'?: string`
 * is not.
 */
function requiredFields(type: string): string[] {
  const declaration = readFileSync(join(MODELS, `${type}.d.ts`), 'utf8');
  return [...declaration.matchAll(/^ {4}'(.+)': /gm)].map(([, field = '']) => field);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

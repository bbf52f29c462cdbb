/**
 * Checks values against the part of JSON Schema that the chart's schema uses; any other keyword is
 * an error.
 */
export type Schema = Readonly<Record<string, unknown>>;

const ANNOTATIONS = ['$schema', 'description'];

/** Returns what is wrong with the value, each with its path; [] if nothing is. */
export function schemaProblems(value: unknown, schema: Schema, path = ''): string[] {
  return Object.entries(schema).flatMap(([keyword, argument]) => {
    if (ANNOTATIONS.includes(keyword)) return [];
    const check = KEYWORDS[keyword];
    if (check === undefined) throw new Error(`the keyword ${keyword} is not known to this checker`);
    return check(value, argument as never, path, schema);
  });
}

type Check = (value: unknown, argument: never, path: string, schema: Schema) => string[];

const KEYWORDS: Readonly<Record<string, Check>> = {
  type: (value, wanted: string | readonly string[], path) =>
    [wanted].flat().some((type) => isOfType(value, type)) ? [] : [`${path}: ${JSON.stringify(value)} is no ${wanted}`],
  enum: (value, choices: readonly unknown[], path) =>
    choices.includes(value) ? [] : [`${path}: ${JSON.stringify(value)} is none of ${choices}`],
  minimum: (value, least: number, path) =>
    typeof value === 'number' && value < least ? [`${path}: below ${least}`] : [],
  maximum: (value, most: number, path) => (typeof value === 'number' && value > most ? [`${path}: above ${most}`] : []),
  minLength: (value, least: number, path) =>
    typeof value === 'string' && value.length < least ? [`${path}: too short`] : [],
  minItems: (value, least: number, path) => (Array.isArray(value) && value.length < least ? [`${path}: too few`] : []),
  pattern: (value, pattern: string, path) =>
    typeof value === 'string' && !new RegExp(pattern).test(value)
      ? [`${path}: ${value} does not match ${pattern}`]
      : [],
  items: (value, schema: Schema, path) =>
    Array.isArray(value) ? value.flatMap((item, i) => schemaProblems(item, schema, `${path}[${i}]`)) : [],
  properties: (value, schemas: Readonly<Record<string, Schema>>, path) =>
    isObject(value)
      ? Object.entries(schemas).flatMap(([name, schema]) =>
          name in value ? schemaProblems(value[name], schema, `${path}.${name}`) : [],
        )
      : [],
  additionalProperties: (value, others: boolean | Schema, path, { properties = {} }) => {
    if (!isObject(value) || others === true) return [];
    return Object.entries(value)
      .filter(([name]) => !(name in (properties as object)))
      .flatMap(([name, inner]) =>
        others === false ? [`${path}.${name}: is not known`] : schemaProblems(inner, others, `${path}.${name}`),
      );
  },
};

function isOfType(value: unknown, type: string): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  if (type === 'integer') return Number.isInteger(value);
  // The other types have JavaScript's names.
  return typeof value === type;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

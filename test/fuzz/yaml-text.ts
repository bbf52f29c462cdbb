/**
 * Objects as people and programs write them: YAML in all its styles, JSON, several documents,
 * anchors, comments. Also damages such texts.
 */
import type { Json } from './kube-objects.ts';
import type { Random } from './random.ts';

/** Strings with a meaning for YAML, for template engines, or for text decoders. */
const TELLING = [
  ...[
    '- ',
    ': ',
    '? ',
    '&a ',
    '*a',
    '*b',
    '!!binary ',
    '!!str ',
    '!x ',
    '"',
    "'",
    '|\n',
    '>-\n',
    '#',
    ' #',
    ',',
    '[',
    ']',
    '{',
    '}',
  ],
  ...[
    '---\n',
    '...\n',
    '%YAML 1.1\n',
    '<<: ',
    '\t',
    '\r\n',
    '\n',
    '  ',
    '{{ .Values.port }}',
    '\u2028',
    '\ufeff',
    '\u0000',
    '~',
  ],
  ...['\u0085', '\\u0000', '0x1F', '1e9999', '.inf', '.nan', 'yes', '2001-01-01', '9007199254740993', '"\\'],
  ...[
    'kind: NetworkPolicy\n',
    'apiVersion: networking.k8s.io/v1\n',
    'metadata: {name: x}\n',
    'kind: List\n',
    'items:\n',
  ],
];

const MOST_TEXT = 1 << 16;

export function text(random: Random, values: readonly Json[]): string {
  const written = random.oneIn(5) ? json(random, values) : values.map((value) => document(random, value)).join('');
  return random.oneIn(2) ? damaged(random, written) : written;
}

function json(random: Random, values: readonly Json[]): string {
  const value = random.oneIn(3) ? (values[0] ?? null) : { apiVersion: 'v1', kind: 'List', items: [...values] };
  const indented = JSON.stringify(value, undefined, random.pick([0, 2, '\t']));
  // Deeply nested values would be mostly spaces.
  return indented.length > MOST_TEXT ? JSON.stringify(value) : indented;
}

function document(random: Random, value: Json): string {
  const marker = random.pick(['---\n', '---\n', '--- # here\n', '...\n---\n', '%YAML 1.2\n---\n']);
  if (random.oneIn(30)) return marker + expanding(random);
  if (random.oneIn(100)) return marker + deep(random);
  return `${marker}${block(random, value, 0).replace(/^\n/, '')}\n`;
}

/** Returns aliases that multiply: each is nine of the one before. */
function expanding(random: Random): string {
  const levels = random.between(2, 9);
  const lines = Array.from({ length: levels }, (_, i) => {
    const before = i === 0 ? 'x' : `*l${i - 1}`;
    return `l${i}: &l${i} [${new Array(9).fill(before).join(', ')}]`;
  });
  return `${lines.join('\n')}\nkind: NetworkPolicy\nmetadata: {name: x, labels: *l${levels - 1}}\n`;
}

function deep(random: Random): string {
  const depth = random.pick([100, 1000, 5000]);
  const [open, close] = random.pick([
    ['[', ']'],
    ['{a: ', '}'],
    ['- ', ''],
  ] as const);
  return `kind: Pod\nspec: ${open === '- ' ? '\n' : ''}${open.repeat(depth)}1${random.oneIn(2) ? close.repeat(depth) : ''}\n`;
}

/** Returns what follows a key or a dash. */
function block(random: Random, value: Json, depth: number): string {
  const isNested = typeof value === 'object' && value !== null;
  // A flow collection may have any depth, without indentation.
  if (!isNested || Object.keys(value).length === 0 || depth > 20 || random.oneIn(8)) return flow(random, value);
  const indent = '  '.repeat(depth);
  const anchor = random.oneIn(24) ? `&a${random.below(2)}` : '';
  const lines = Array.isArray(value)
    ? value.map((element) => `${indent}- ${block(random, element, depth + 1).replace(/^\n */, '')}`)
    : Object.entries(value).map(([key, each]) => {
        if (random.oneIn(80)) return `${indent}<<: *a${random.below(2)}`;
        const inside = random.oneIn(80) ? `*a${random.below(2)}` : block(random, each, depth + 1);
        const line = `${indent}${scalar(random, key)}: ${inside}`.replace(': \n', ':\n');
        return random.oneIn(120) ? `${line}\n${line}` : line;
      });
  return `${anchor}\n${lines.join(random.oneIn(20) ? '\n\n# more\n' : '\n')}`;
}

function flow(random: Random, value: Json): string {
  return typeof value === 'string' ? scalar(random, value) : JSON.stringify(value);
}

function scalar(random: Random, value: string): string {
  const isPlain = /^[A-Za-z][\w./-]*$/.test(value) && !/^(?:true|false|null|yes|no|on|off|y|n)$/i.test(value);
  if (isPlain && !random.oneIn(10)) return value;
  return random.oneIn(3) && !/['\p{C}]/u.test(value) ? `'${value}'` : JSON.stringify(value);
}

function damaged(random: Random, written: string): string {
  let result = written;
  for (let i = random.between(1, 3); i > 0; i--) {
    const at = random.below(result.length + 1);
    const length = random.pick([0, 0, 1, 2, 10]);
    switch (random.below(4)) {
      case 0:
        result = result.slice(0, at) + result.slice(at + length);
        break;
      case 1:
        result = result.slice(0, at) + result.slice(at, at + 40) + result.slice(at);
        break;
      default:
        result = result.slice(0, at) + random.pick(TELLING) + result.slice(at + length);
    }
  }
  return result;
}

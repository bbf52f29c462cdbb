import { describe, expect, it } from 'vitest';
import { readYaml } from '../../src/manifests/yaml.ts';

const values = (text: string) => readYaml(text).map(({ value }) => value);

/** Returns syntax problems as `line:column message | hint`. */
const problems = (text: string) =>
  readYaml(text).flatMap(({ syntaxProblems }) =>
    syntaxProblems.map(
      ({ line, column, message, hint }) => `${line}:${column} ${message}${hint === undefined ? '' : ` | ${hint}`}`,
    ),
  );

describe('documents', () => {
  it.each<[string, string, unknown[]]>([
    ['one', 'a: 1\n', [{ a: 1 }]],
    ['several', 'a: 1\n---\nb: 2\n--- # comment\nc: 3\n', [{ a: 1 }, { b: 2 }, { c: 3 }]],
    ['ended with dots', 'a: 1\n...\n---\nb: 2\n...\n', [{ a: 1 }, { b: 2 }]],
    [
      'empty ones, as Helm leaves them',
      '---\n# Source: chart/templates/a.yaml\n---\n\n---\n  # none\n--- \na: 1\n---\n',
      [{ a: 1 }],
    ],
    ['null ones', 'null\n---\n~\n', []],
    ['nothing', '', []],
    ['with a directive', '%YAML 1.2\n---\na: 1\n', [{ a: 1 }]],
    ['with Windows line ends', 'a: 1\r\n---\r\nb: 2\r\n', [{ a: 1 }, { b: 2 }]],
    ['with content beside the marker', '--- {a: 1}\n--- {b: 2}\n', [{ a: 1 }, { b: 2 }]],
    ['with dashes inside a text', 'a: |\n  ---\n  b\nc: x---\n', [{ a: '---\nb\n', c: 'x---' }]],
    [
      'with anchors and merges',
      'a: &x {p: 1}\nb: {<<: *x, q: 2}\nc: *x\n',
      [{ a: { p: 1 }, b: { p: 1, q: 2 }, c: { p: 1 } }],
    ],
  ])('%s', (_, text, expected) => {
    expect(values(text)).toEqual(expected);
  });

  it('have the booleans that Kubernetes accepts', () => {
    expect(values('[yes, No, ON, off, true, y, "yes", yesterday]')).toEqual([
      [true, false, true, false, true, 'y', 'yes', 'yesterday'],
    ]);
  });
});

describe('an error does not affect the documents around it', () => {
  it.each<[string, string, string]>([
    [
      'a tab in front of a key',
      'spec:\n\tports: 1\n',
      '4:1 a tab indents this line; YAML allows spaces only | Indent with spaces.',
    ],
    [
      'a tab after spaces',
      'spec:\n  a: 1\n  \tb: 2\n',
      '5:3 a tab indents this line; YAML allows spaces only | Indent with spaces.',
    ],
    [
      'a tab in front of a list element',
      'spec:\n\t- 1\n',
      '4:1 a tab indents this line; YAML allows spaces only | Indent with spaces.',
    ],
    ['a key twice', 'spec: 1\nkind: x\nspec: 2\n', '5:1 this key appears twice in the map | Remove one of them.'],
    [
      'two keys in a line',
      'spec: a: 1\n',
      '3:7 the value of a key contains a second `key:` | Put it on a line of its own, or quote the value.',
    ],
    [
      'an open bracket',
      'ports: [80, 443\nkind: x\n',
      '4:1 the YAML does not parse: flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['an open quote', 'name: "x\nkind: y\n', '5:1 the YAML does not parse: missing closing "quote'],
    [
      'a wrong indentation',
      'a:\n  - b\n c: 1\n',
      '5:1 the YAML does not parse: all mapping items must start at the same column',
    ],
    ['a reserved character', 'name: @x\n', '3:7 a string may not begin with this character | Write it in quotes.'],
    [
      'an alias without an anchor',
      'host: *.example.com\n',
      '3:7 there is no anchor for the alias *.example.com | A text that begins with * needs quotes.',
    ],
  ])('%s', (_, broken, expected) => {
    const text = `a: 1\n---\n${broken}---\nz: 26\n`;
    expect(problems(text)).toEqual([expected]);
    expect(values(text)).toEqual([{ a: 1 }, undefined, { z: 26 }]);
  });

  it('several duplicate keys are all reported', () => {
    expect(problems('a: 1\na: 2\nb: 1\nb: 2\n').map((line) => line.slice(0, 3))).toEqual(['2:1', '4:1']);
  });

  it('multiplying aliases and endless nesting are errors and do not crash the process', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(10)}]\nc: &c [${'*b,'.repeat(10)}]\nd: [${'*c,'.repeat(10)}]\n`;
    const text = `${bomb}---\na: ${'['.repeat(50_000)}\n---\nz: 26\n`;
    expect(values(text)).toEqual([undefined, undefined, { z: 26 }]);
    expect(problems(text)).toHaveLength(2);
  });
});

describe('locate', () => {
  const text = `# comment
---
kind: NetworkPolicy
spec:
  ports:
    - port: 80
      name: "x"
    - {port: 81, protocol: TCP}
  empty:
  flow: [a, {b: c}]
shared: &s {deep: 1}
again: *s
`;
  it.each<[(string | number)[], number, number]>([
    [['kind'], 3, 7],
    [['spec'], 4, 1],
    [['spec', 'ports'], 5, 3],
    [['spec', 'ports', 0], 6, 7],
    [['spec', 'ports', 0, 'port'], 6, 13],
    [['spec', 'ports', 1], 8, 7],
    [['spec', 'ports', 1, 'protocol'], 8, 28],
    [['spec', 'ports', 2], 5, 3],
    [['spec', 'ports', 0, 'endPort'], 6, 7],
    [['spec', 'empty'], 9, 3],
    [['spec', 'empty', 'x', 0], 9, 3],
    [['spec', 'flow', 1, 'b'], 10, 17],
    [['spec', 'none', 'at', 'all'], 4, 1],
    [['again', 'deep'], 11, 19],
    [['nothing'], 3, 1],
    [[], 3, 1],
  ])('%j is at %i:%i', (path, line, column) => {
    const [document] = readYaml(text);
    expect(document?.locate(path)).toEqual({ line, column });
  });

  it('counts from the beginning of the file in every document', () => {
    const [, second] = readYaml('a: 1\n---\n\nb:\n  c: 2\n');
    expect(second?.locate(['b', 'c'])).toEqual({ line: 5, column: 6 });
  });
});

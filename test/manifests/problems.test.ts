import { describe, expect, it } from 'vitest';
import { formatProblem, type ManifestProblem, ProblemLog } from '../../src/manifests/problems.ts';

const problem = (changed: Partial<ManifestProblem> = {}): ManifestProblem => ({
  file: 'web.yaml',
  line: 12,
  column: 17,
  object: 'NetworkPolicy default/web',
  field: 'spec.ingress[0].ports[0].port',
  message: '99999 is not a port; ports are 1 to 65535',
  hint: 'Did you mean 9999?',
  severity: 'error',
  ...changed,
});

describe('formatProblem', () => {
  it('prints file, line, column, object, field, what is wrong and what was meant', () => {
    expect(formatProblem(problem())).toBe(
      'web.yaml:12:17  NetworkPolicy default/web  spec.ingress[0].ports[0].port: 99999 is not a port; ports are 1 to 65535. Did you mean 9999?',
    );
  });

  it('puts the note on a line of its own', () => {
    expect(formatProblem(problem({ note: 'It fails closed.' }))).toMatch(/Did you mean 9999\?\n {4}It fails closed\.$/);
  });

  it('leaves out missing parts', () => {
    const { hint, ...rest } = problem({
      line: 0,
      column: 0,
      object: '',
      field: '',
      message: 'there is no such file or folder',
    });
    expect(formatProblem(rest)).toBe('web.yaml  there is no such file or folder');
    expect(hint).toBeDefined();
  });

  it('names standard input and marks warnings', () => {
    expect(formatProblem(problem({ file: '-', severity: 'warning', field: '' }))).toMatch(
      /^<stdin>:12:17 {2}NetworkPolicy default\/web {2}warning: 99999 is/,
    );
  });

  it('lets no control character through to the terminal', () => {
    const text = formatProblem(
      problem({ file: 'a\u001b[2J\n.yaml', object: 'Pod \u009b31m', message: 'x\u0007\u202e' }),
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
    expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  });
});

it('problems are sorted by file and line, whatever the order in which they were found', () => {
  const log = new ProblemLog();
  for (const [file, line, column] of [
    ['b', 2, 1],
    ['a', 9, 1],
    ['b', 1, 5],
    ['b', 1, 2],
    ['', 0, 0],
    ['a', 10, 1],
  ] as const) {
    log.add(problem({ file, line, column }));
  }
  expect(log.sorted(['b', 'a']).map(({ file, line, column }) => `${file}${line}:${column}`)).toEqual([
    'b1:2',
    'b1:5',
    'b2:1',
    'a9:1',
    'a10:1',
    '0:0',
  ]);
});

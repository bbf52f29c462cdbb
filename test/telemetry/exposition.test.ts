import { describe, expect, it } from 'vitest';
import { lint, parseExposition } from './exposition.ts';

const family = (name: string, type: string, ...series: string[]) =>
  `${[`# HELP ${name} What it counts.`, `# TYPE ${name} ${type}`, ...series].join('\n')}\n`;

describe('the reader of the text format', () => {
  it('reads names, labels with escapes, and values', () => {
    const text = family('a_total', 'counter', 'a_total{x="1",y="\\"\\\\"} 3', 'a_total 1e-5');
    expect(parseExposition(text).get('a_total')?.series).toEqual([
      { name: 'a_total', labels: { x: '1', y: '\\"\\\\' }, value: 3 },
      { name: 'a_total', labels: {}, value: 0.00001 },
    ]);
  });

  it.each([
    ['a series without HELP and TYPE', 'a 1\n'],
    ['a series of another family', family('a', 'gauge', 'b 1')],
    ['an invalid value', family('a', 'gauge', 'a undefined')],
    ['a label without quotes', family('a', 'gauge', 'a{b=1} 1')],
    ['a family that comes twice', family('a', 'gauge', 'a 1') + family('a', 'gauge', 'a 1')],
    ['a text that breaks off', '# HELP a What it'],
  ])('refuses %s', (_, text) => {
    expect(() => parseExposition(text)).toThrow();
  });
});

describe('the check of the rules', () => {
  const histogram = (...values: string[]) =>
    family('a_seconds', 'histogram', ...values.map((each) => `a_seconds_${each}`));

  it.each([
    ['a counter without _total', family('a', 'counter')],
    ['a gauge with _total', family('a_total', 'gauge')],
    ['milliseconds', family('a_ms', 'gauge')],
    ['a duration without a unit', family('a_duration', 'gauge')],
    ['capital letters', family('aB', 'gauge')],
    ['a type that does not exist', family('a', 'number')],
    ['a counter below 0', family('a_total', 'counter', 'a_total -1')],
    ['a series that comes twice', family('a', 'gauge', 'a{x="1",y="2"} 1', 'a{y="2",x="1"} 1')],
    ['buckets that fall', histogram('bucket{le="1"} 2', 'bucket{le="+Inf"} 1', 'sum 1', 'count 1')],
    [
      'buckets out of order',
      histogram('bucket{le="2"} 1', 'bucket{le="1"} 1', 'bucket{le="+Inf"} 1', 'sum 1', 'count 1'),
    ],
    ['a histogram without +Inf', histogram('bucket{le="1"} 1', 'sum 1', 'count 1')],
    ['a histogram without a sum', histogram('bucket{le="+Inf"} 1', 'count 1')],
    ['a count that is not that of the last bucket', histogram('bucket{le="+Inf"} 1', 'sum 1', 'count 2')],
  ])('complains about %s', (_, text) => {
    expect(lint(parseExposition(text).values())).toHaveLength(1);
  });

  it('does not complain about correct metrics', () => {
    const good =
      histogram('bucket{le="1"} 1', 'bucket{le="+Inf"} 2', 'sum 3', 'count 2') +
      family('b_total', 'counter', 'b_total 1');
    expect(lint(parseExposition(good).values())).toEqual([]);
  });
});

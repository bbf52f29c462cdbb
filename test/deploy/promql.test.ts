import { describe, expect, it } from 'vitest';
import { parsePromql, picks } from './promql.ts';

describe('reading PromQL', () => {
  it('finds metrics, matchers, ranges and labels', () => {
    expect(
      parsePromql('sum by (queue) (rate(drops_total{cause="full", queue=~"1|2"}[5m])) / on (node) size > 0.5'),
    ).toEqual({
      selectors: [
        {
          metric: 'drops_total',
          matchers: [
            { label: 'cause', operator: '=', value: 'full' },
            { label: 'queue', operator: '=~', value: '1|2' },
          ],
          range: '5m',
        },
        { metric: 'size', matchers: [], range: undefined },
      ],
      labels: ['queue', 'node'],
    });
  });

  it.each([
    ['a', true],
    ['a{cause="full"}', true],
    ['a{cause!="full"}', false],
    ['a{cause=~"f.*|empty"}', true],
    ['a{cause=~"ul"}', false],
    ['a{cause!~"e.*"}', true],
    ['a{other=""}', true],
    ['a{cause="full", queue="2"}', false],
  ])('%s picks the series of queue 1 that is full: %s', (expression, expected) => {
    const [selector] = parsePromql(expression).selectors;
    expect(selector && picks(selector, { cause: 'full', queue: '1' })).toBe(expected);
  });

  it.each(['sum(a', 'a b', 'a >', 'rate(a)', 'a{b}', 'a{b="c}', 'a[5]', 'sum by queue (a)', 'floor(a)', 'a # b', ''])(
    'refuses %s',
    (expression) => {
      expect(() => parsePromql(expression)).toThrow();
    },
  );
});

import { describe, expect, test } from 'vitest';
import { bars, curves } from '../../bench/harness/panels.ts';
import { plot } from '../../bench/harness/plot.ts';
import { single } from '../../bench/harness/result.ts';
import { MEASURED } from './measured.ts';

const rows = [single('fast, 1 policy', 'ns', 12.3, [12, 14]), single('fast, 10,000 policies', 'ns', 456, [400, 500])];
const split = (name: string): [string, string] => {
  const comma = name.indexOf(', ');
  return [name.slice(0, comma), name.slice(comma + 2)];
};

describe('a plot', () => {
  const svg = plot('title <of> it', 'machine', [
    bars('bars', rows, { scale: 'log', split }),
    curves('curves', MEASURED.curves ?? [], 'log'),
  ]);

  test('is one drawing with its titles, categories, groups and values', () => {
    expect(svg).toMatch(/^<svg .*<\/svg>\n$/s);
    for (const text of ['title &lt;of&gt; it', 'machine', 'bars', 'curves', 'fast', '1 policy', '12.3', '456'])
      expect(svg).toContain(`>${text}</text>`);
    expect(svg).not.toMatch(/NaN|undefined|Infinity|class=|CDATA/);
  });

  test('has a second colour for dark mode for each colour that it uses', () => {
    const [, rules = ''] = /@media \(prefers-color-scheme: dark\)\{(.*)\}<\/style>/.exec(svg) ?? [];
    const fills = [...rules.matchAll(/\[fill="(#[0-9a-f]{6})"\]/g)].map(([, colour]) => colour);
    expect(fills).toHaveLength(4);
    for (const colour of fills) expect(rules).toContain(`[stroke="${colour}"]`);
    const drawing = svg.slice(svg.indexOf('</style>'));
    for (const colour of fills) expect(drawing).toMatch(new RegExp(`(fill|stroke)="${colour}"`));
    const visible = drawing.replaceAll(/<clipPath.*?<\/clipPath>/gs, '');
    expect(visible).not.toMatch(/(fill|stroke)="(#000|#fff|#333|black|white)"/);
  });
});

/**
 * Draws panels as one SVG that is readable on light and on dark: it has its own background and text
 * colour, and switches to dark ones if the reader's colour scheme is dark.
 */

import type { EChartsOption, SeriesOption } from 'echarts';
import * as echarts from 'echarts';
import { formatNumber } from './format.ts';
import type { Bar, BarPanel, CurvePanel, Panel, Scale } from './panels.ts';

const WIDTH = 900;
const TITLE_HEIGHT = 64;
const BAR_HEIGHT = 16;
const CURVES_HEIGHT = 300;
/** Space around a panel's content: title and rows of legend above, axis below. */
const TITLE = 44;
const LEGEND_ROW = 20;
const BELOW = 62;
/** Where bars begin, right of their categories. */
const BARS_LEFT = 290;
/** Approximate widths of a letter, and of the mark before a name. */
const LETTER = 7.5;
const MARK = 60;

/** Each colour, light and dark. The SVG contains the light one, and a style replaces it. */
const PAPER = ['#fffffe', '#0d1117'] as const;
const INK = ['#1f2329', '#e6edf3'] as const;
const FAINT = ['#59636f', '#9198a1'] as const;
const LINES = ['#d1d9e1', '#3d444d'] as const;
/** Readable on light and on dark. */
const COLOURS = ['#3b82d0', '#e0782f', '#2e9e6b', '#c2559d', '#9a7b2f', '#7a6fd8', '#c9504b', '#3a98a8'];

export function plot(title: string, subtitle: string, panels: readonly Panel[]): string {
  const layout = place(panels);
  const option: EChartsOption = {
    animation: false,
    backgroundColor: PAPER[0],
    color: COLOURS,
    textStyle: { color: INK[0], fontFamily: 'system-ui, sans-serif' },
    title: [
      {
        text: title,
        subtext: subtitle,
        left: 16,
        top: 12,
        textStyle: { color: INK[0], fontSize: 18 },
        subtextStyle: { color: FAINT[0] },
      },
      ...layout.map(({ panel, top }) => ({
        text: panel.title,
        left: 16,
        top,
        textStyle: { color: INK[0], fontSize: 14 },
      })),
    ],
    legend: layout.flatMap(({ panel, top }, index) => legend(panel, top, index)),
    grid: layout.map(({ panel, top, above, height }) => ({
      left: panel.kind === 'bars' ? BARS_LEFT : 70,
      right: panel.kind === 'bars' ? 90 : 30,
      top: top + above,
      height,
    })),
    xAxis: layout.map(({ panel }, index) => ({
      ...(panel.kind === 'bars' ? barAxis(panel) : axis(panel.x.name, panel.x.scale)),
      gridIndex: index,
      nameLocation: 'middle' as const,
      nameGap: 30,
    })),
    yAxis: layout.map(({ panel }, index) => ({
      ...(panel.kind === 'bars' ? categoryAxis(panel) : axis(panel.y.name, panel.y.scale)),
      gridIndex: index,
      // Keeps the name below the legend.
      nameGap: 8,
    })),
    series: layout.flatMap(({ panel }, index) =>
      panel.kind === 'bars' ? barSeries(panel, index) : curveSeries(panel, index),
    ),
  };
  const last = layout.at(-1);
  const height = last === undefined ? TITLE_HEIGHT : last.top + last.above + last.height + BELOW;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  try {
    chart.setOption(option);
    return `${withDarkColours(still(chart.renderToSVGString()))}\n`;
  } finally {
    chart.dispose();
  }
}

interface Placed {
  readonly panel: Panel;
  readonly top: number;
  /** Height of title and legend. */
  readonly above: number;
  readonly height: number;
}

function place(panels: readonly Panel[]): Placed[] {
  let top = TITLE_HEIGHT + 12;
  return panels.map((panel) => {
    const height = panel.kind === 'bars' ? barsHeight(panel) : CURVES_HEIGHT;
    const above = TITLE + LEGEND_ROW * legendRows(panel);
    const placed = { panel, top, above, height };
    top += above + height + BELOW;
    return placed;
  });
}

function legendRows(panel: Panel): number {
  const widths = legendNames(panel).map((name) => MARK + LETTER * name.length);
  return Math.ceil(widths.reduce((sum, width) => sum + width, 0) / (WIDTH - 100));
}

function barsHeight(panel: BarPanel): number {
  const perCategory = Math.max(1, groupsOf(panel).length);
  return categoriesOf(panel).length * (perCategory * BAR_HEIGHT + 14);
}

function categoriesOf({ bars }: BarPanel): string[] {
  return [...new Set(bars.map(({ category }) => category))];
}

function groupsOf({ bars }: BarPanel): string[] {
  return [...new Set(bars.map(({ group }) => group))];
}

/** None if there is only one name. */
function legendNames(panel: Panel): string[] {
  const names = panel.kind === 'bars' ? groupsOf(panel) : panel.curves.map(({ name }) => name);
  return names.length < 2 ? [] : names;
}

function legend(panel: Panel, top: number, index: number): object[] {
  const names = legendNames(panel);
  if (names.length === 0) return [];
  // Panels may use the same names; each legend refers only to its own panel's series.
  const data = names.map((name) => ({ name: seriesName(index, name) }));
  return [
    {
      data,
      left: 16,
      top: top + 24,
      textStyle: { color: INK[0] },
      itemHeight: 10,
      itemGap: 28,
      formatter: (name: string) => name.slice(name.indexOf(':') + 1),
    },
  ];
}

function seriesName(index: number, name: string): string {
  return `${index}:${name}`;
}

function axis(name: string, scale: Scale): object {
  return {
    type: scale === 'log' ? 'log' : 'value',
    name,
    nameTextStyle: { color: FAINT[0] },
    axisLabel: { color: FAINT[0], formatter: formatNumber },
    axisLine: { lineStyle: { color: LINES[0] } },
    splitLine: { lineStyle: { color: LINES[0] } },
  };
}

/** A logarithmic scale has no 0: bars begin at the power of ten below the least value. */
function barAxis({ unit, scale, bars }: BarPanel): object {
  if (scale === 'linear') return axis(unit, scale);
  const least = Math.min(...bars.flatMap(({ value, min }) => [value, min]).filter((value) => value > 0));
  const start = 10 ** Math.floor(Math.log10(least));
  return { ...axis(unit, scale), min: start, startValue: start };
}

function categoryAxis(panel: BarPanel): object {
  return {
    type: 'category' as const,
    data: categoriesOf(panel),
    inverse: true,
    axisLabel: { color: INK[0], width: BARS_LEFT - 70, overflow: 'break', interval: 0 },
    axisLine: { lineStyle: { color: LINES[0] } },
    axisTick: { show: false },
  };
}

function barSeries(panel: BarPanel, index: number): SeriesOption[] {
  const categories = categoriesOf(panel);
  const groups = groupsOf(panel);
  return groups.flatMap((group, place): SeriesOption[] => {
    const of = panel.bars.filter((bar) => bar.group === group);
    const colour = COLOURS[place % COLOURS.length] as string;
    const value = categories.map((category) => of.find((bar) => bar.category === category)?.value ?? null);
    return [
      {
        type: 'bar',
        name: seriesName(index, group),
        xAxisIndex: index,
        yAxisIndex: index,
        data: value,
        barWidth: BAR_HEIGHT - 4,
        itemStyle: { color: colour },
      },
      spreadSeries(index, place, groups.length, of, categories),
    ];
  });
}

/**
 * Draws a thin line at the end of each bar, from the least to the most, and the value to the right
 * of both.
 */
function spreadSeries(
  index: number,
  place: number,
  groups: number,
  bars: readonly Bar[],
  categories: readonly string[],
): SeriesOption {
  return {
    type: 'custom',
    xAxisIndex: index,
    yAxisIndex: index,
    silent: true,
    z: 5,
    data: bars.map(({ category, value, min, max }) => [min, max, value, categories.indexOf(category)]),
    encode: { x: [0, 1, 2], y: 3 },
    renderItem: (_, api) => {
      const at = api.value(3);
      const value = api.value(2) as number;
      const [left = 0, middle = 0] = api.coord([api.value(0), at]);
      const [right = 0] = api.coord([api.value(1), at]);
      const [end = 0] = api.coord([value, at]);
      // Bars of a category are below one another, with the default gap of 30% of their height.
      const y = middle + (place - (groups - 1) / 2) * (BAR_HEIGHT - 4) * 1.3;
      const text = { text: formatNumber(value), x: Math.max(right, end) + 6, y, verticalAlign: 'middle' as const };
      return {
        type: 'group',
        children: [
          {
            type: 'line',
            shape: { x1: left, y1: y, x2: right, y2: y },
            style: { stroke: INK[0], lineWidth: 1.5, fill: 'none' },
          },
          { type: 'text', style: { ...text, fill: INK[0], fontSize: 11 } },
        ],
      };
    },
  };
}

function curveSeries(panel: CurvePanel, index: number): SeriesOption[] {
  return panel.curves.map(({ name, points }, place) => ({
    type: 'line',
    name: seriesName(index, name),
    xAxisIndex: index,
    yAxisIndex: index,
    showSymbol: false,
    lineStyle: { width: 2 },
    itemStyle: { color: COLOURS[place % COLOURS.length] as string },
    data: points.map((point) => [...point]),
  }));
}

/** Removes what only an interactive page needs. */
function still(svg: string): string {
  return svg
    .replaceAll(/ (class|pointer-events|ecmeta_\w+)="[^"]*"/g, '')
    .replace(/<style >\s*<!\[CDATA\[.*?\]\]>\s*<\/style>\n?/s, '');
}

function withDarkColours(svg: string): string {
  const rules = [PAPER, INK, FAINT, LINES].flatMap(([light, dark]) => [
    `[fill="${light}"]{fill:${dark}}`,
    `[stroke="${light}"]{stroke:${dark}}`,
  ]);
  const style = `<style>@media (prefers-color-scheme: dark){${rules.join('')}}</style>`;
  return svg.replace(/(<svg[^>]*>)/, `$1\n${style}`);
}

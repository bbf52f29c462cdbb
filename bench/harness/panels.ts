/**
 * The parts of a plot: panels below one another, with bars and their spread, or with curves.
 * plot.ts draws them.
 */
import type { Curve, MeasuredRow } from './result.ts';

export type Scale = 'linear' | 'log';

export interface Bar {
  /** Bars of one category are next to one another. */
  readonly category: string;
  /**
   * Bars of one group share a colour and an entry in the legend. '' if the panel has only one
   * group.
   */
  readonly group: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
}

export interface BarPanel {
  readonly kind: 'bars';
  readonly title: string;
  readonly unit: string;
  readonly scale: Scale;
  readonly bars: readonly Bar[];
}

export interface CurvePanel {
  readonly kind: 'curves';
  readonly title: string;
  readonly x: { readonly name: string; readonly scale: Scale };
  readonly y: { readonly name: string; readonly scale: Scale };
  readonly curves: readonly Pick<Curve, 'name' | 'points'>[];
}

export type Panel = BarPanel | CurvePanel;

/**
 * Returns a panel of rows, which must have the same unit. `split` returns category and group for a
 * row's name; without it each row is its own category.
 */
export function bars(
  title: string,
  rows: readonly MeasuredRow[],
  {
    scale = 'linear',
    split = (name) => [name, ''],
  }: { scale?: Scale; split?: (name: string) => readonly [category: string, group: string] } = {},
): BarPanel {
  return {
    kind: 'bars',
    title,
    unit: rows[0]?.unit ?? '',
    scale,
    bars: rows.map(({ name, value, spread: { min, max } }) => {
      const [category, group] = split(name);
      return { category, group, value, min, max };
    }),
  };
}

/** Returns a panel of curves, which must have the same axes. */
export function curves(title: string, of: readonly Curve[], x: Scale = 'linear', y: Scale = 'linear'): CurvePanel {
  const [first] = of;
  return {
    kind: 'curves',
    title,
    x: { name: first?.x ?? '', scale: x },
    y: { name: first?.y ?? '', scale: y },
    curves: of,
  };
}

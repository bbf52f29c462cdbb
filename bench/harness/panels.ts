/** What a plot is made of: panels below one another, of bars with their spread or of curves. plot.ts draws them. */
import type { Curve, MeasuredRow } from './result.ts';

export type Scale = 'linear' | 'log';

export interface Bar {
  /** Bars of one category stand together. */
  readonly category: string;
  /** Bars of one group have one colour and one entry of the legend. '' where the panel has but one. */
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
 * A panel of rows, which must have one unit. `split` tells the category and group of a row by its name; without it each row is a category
 * of its own.
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

/** A panel of curves, which must have the same axes. */
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

/** A result as a benchmark returns it, for tests of the code that processes results. */
import { type Measured, row, single } from '../../bench/harness/result.ts';

export const MEASURED: Measured = {
  parameters: { processes: 3, size: { pods: 100 } },
  rows: [
    row('full compile', 'ms', [1800, 1700, 2100]),
    single('peak memory of the process', 'bytes', 612e6, [600e6, 612e6]),
    single('something else', 'ratio', 0.123_456_789_01),
  ],
  curves: [
    {
      name: 'kernel only',
      x: 'us',
      y: 'share',
      points: [
        [7, 0.5],
        [9, 1],
      ],
    },
  ],
  notes: ['a note'],
};

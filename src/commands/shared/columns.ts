/** Lines of a table whose columns are as wide as their widest cell so far. */
export class Columns {
  readonly #widths: number[] = [];

  /** Makes the columns wide enough for these lines. */
  widen(lines: readonly (readonly string[])[]): void {
    for (const line of lines) {
      for (const [column, cell] of line.entries()) {
        this.#widths[column] = Math.max(this.#widths[column] ?? 0, cell.length);
      }
    }
  }

  /** @param dress may colour a cell, but not change its width */
  line(cells: readonly string[], dress: (cell: string, column: number) => string = (cell) => cell): string {
    const last = cells.length - 1;
    return cells
      .map((cell, column) => dress(column === last ? cell : cell.padEnd(this.#widths[column] ?? 0), column))
      .join('  ')
      .trimEnd();
  }
}

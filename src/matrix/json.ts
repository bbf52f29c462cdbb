/** The matrix as JSON, for programs. */
import { endName } from '../explain/flow-end.ts';
import type { AssertionResult } from './assertion-check.ts';
import { changeOf, type PlacedCell, type Reachability } from './reachability.ts';

/**
 * Yields one JSON document in pieces, one cell on each line:
 * `{"ends":[…],"cells":[…],"notes":[…],"assertions":[…]}`, without `assertions` if there are no
 * results. Ends are those of ends.ts; cells refer to them by name.
 */
export function* matrixJson(matrix: Reachability, results: readonly AssertionResult[] | undefined): Generator<string> {
  yield `{"ends":${lines(matrix.ends)},\n"cells":[`;
  let separator = '\n';
  for (const cell of matrix.cells()) {
    yield separator + JSON.stringify(cellJson(cell));
    separator = ',\n';
  }
  yield `\n],\n"notes":${JSON.stringify(matrix.notes)}`;
  if (results !== undefined) yield `,\n"assertions":${lines(results.map(resultJson))}`;
  yield '}\n';
}

function lines(values: readonly unknown[]): string {
  return `[\n${values.map((value) => JSON.stringify(value)).join(',\n')}\n]`;
}

function cellJson({ from, to, port: { port, protocol }, cell }: PlacedCell) {
  return { from: from.name, to: to.name, port, protocol, ...cell, change: changeOf(cell) };
}

function resultJson({ assertion: { place, expected }, flows, violations, leftOut }: AssertionResult) {
  return {
    place: place.title,
    assertion: place.text,
    expected,
    holds: violations.length === 0,
    flows,
    ...(leftOut.length > 0 && { leftOut }),
    violations: violations.map(({ from, to, judgement, ...violation }) => ({
      from: endName(from),
      to: endName(to),
      ...violation,
      ...judgement,
    })),
  };
}

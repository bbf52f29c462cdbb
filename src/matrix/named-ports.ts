/** Which port numbers policies name, and which they do not. */
import type { PolicyPort, Protocol } from '../cluster/records.ts';

export interface NumberedPort {
  readonly port: number;
  readonly protocol: Protocol;
}

/** An inclusive range. */
export interface Numbers {
  readonly first: number;
  readonly last: number;
}

export const LAST_PORT = 65_535;

/** Returns the range of a port entry; nothing for a named port or a whole protocol. */
export function portRange({
  port,
  endPort,
  protocol,
}: PolicyPort): readonly (Numbers & { readonly protocol: Protocol })[] {
  return typeof port === 'number' ? [{ protocol, first: port, last: endPort ?? port }] : [];
}

/**
 * Returns the first number of each stretch of named ports in which no range begins or ends, in
 * order. One answer holds for the whole stretch.
 *
 * @param own numbers whose answer may differ because they have names; the result contains them
 */
export function namedPorts(ranges: readonly Numbers[], own: readonly number[]): readonly number[] {
  const starts = [...ranges.flatMap(({ first, last }) => [first, last + 1]), ...own.map((port) => port + 1)];
  const isNamed = (port: number) => ranges.some(({ first, last }) => port >= first && port <= last);
  return [...new Set([...own, ...starts.filter(isNamed)])].sort((a, b) => a - b);
}

/** Returns the highest port that is in none of the ranges; undefined if they cover all. */
export function unnamedPort(ranges: readonly Numbers[]): number | undefined {
  let port = LAST_PORT;
  for (const { first, last } of ranges.toSorted((a, b) => b.last - a.last)) {
    if (last < port) break;
    port = Math.min(port, first - 1);
  }
  return port > 0 ? port : undefined;
}

/** Returns a text that is equal for equal ports. */
export function portKey({ port, protocol }: NumberedPort): string {
  return `${protocol} ${port}`;
}

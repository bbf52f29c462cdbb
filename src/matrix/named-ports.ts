/** Which numbers the ports of policies name, and which they do not. */
import type { PolicyPort, Protocol } from '../cluster/records.ts';

export interface NumberedPort {
  readonly port: number;
  readonly protocol: Protocol;
}

/** Inclusive. */
export interface Numbers {
  readonly first: number;
  readonly last: number;
}

export const LAST_PORT = 65_535;

/** Nothing of a port by name, or of a whole protocol. */
export function portRange({
  port,
  endPort,
  protocol,
}: PolicyPort): readonly (Numbers & { readonly protocol: Protocol })[] {
  return typeof port === 'number' ? [{ protocol, first: port, last: endPort ?? port }] : [];
}

/**
 * The first number of each stretch of named ones in which no range begins or ends, in order: one answer holds for all of it.
 *
 * @param own numbers that may have an answer of their own, by their names; they are in the result
 */
export function namedPorts(ranges: readonly Numbers[], own: readonly number[]): readonly number[] {
  const starts = [...ranges.flatMap(({ first, last }) => [first, last + 1]), ...own.map((port) => port + 1)];
  const isNamed = (port: number) => ranges.some(({ first, last }) => port >= first && port <= last);
  return [...new Set([...own, ...starts.filter(isNamed)])].sort((a, b) => a - b);
}

/** The highest port that is in none of the ranges. */
export function unnamedPort(ranges: readonly Numbers[]): number | undefined {
  let port = LAST_PORT;
  for (const { first, last } of ranges.toSorted((a, b) => b.last - a.last)) {
    if (last < port) break;
    port = Math.min(port, first - 1);
  }
  return port > 0 ? port : undefined;
}

/** Equal for equal ports. */
export function portKey({ port, protocol }: NumberedPort): string {
  return `${protocol} ${port}`;
}

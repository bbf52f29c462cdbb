/** Renders probe results as a table; see matrix/table.ts. */

import { byNamespaceAndName, type CellLook, renderTable, type TableGroup, type TableRow } from '../matrix/table.ts';
import type { ProbeResult } from './lab.ts';
import { type Colour, paint } from './paint.ts';

export interface MatrixOptions {
  /** Characters per line; a wider table is split into several. */
  readonly width: number;
  readonly colour: boolean;
}

/** Renders the table and its legend; each line ends with a line feed. */
export function renderMatrix(results: readonly ProbeResult[], { width, colour }: MatrixOptions): string {
  const ids = numberHosts(results);
  const groups = groupsOf(results, ids);
  const columns = new Map(groups.map(({ key, columns }) => [key, columns]));
  const cells = Map.groupBy(results, (result) => `${result.from} ${result.to} ${columnText(result)}`);
  return renderTable(
    {
      rows: rowsOf(results, ids),
      groups,
      stateAt: (from, to, column) => {
        const found = cells.get(`${from} ${to} ${columns.get(to)?.[column]}`);
        return found && cellOf(found);
      },
    },
    { width, looks: LOOKS, paint: (text, style) => paint(text, style, colour) },
  );
}

/**
 * State of a cell: of one probe, or of several if the destination has several addresses or
 * backends.
 */
export type Cell = 'allow' | 'deny' | 'mixed' | 'wrongly-allowed' | 'wrongly-denied';

export function cellOf(results: readonly ProbeResult[]): Cell {
  const wrong = results.filter(({ expected, observed }) => expected !== observed);
  if (wrong.some(({ observed }) => observed === 'allow')) return 'wrongly-allowed';
  if (wrong.length > 0) return 'wrongly-denied';
  const allowed = results.filter(({ observed }) => observed === 'allow').length;
  return allowed === results.length ? 'allow' : allowed === 0 ? 'deny' : 'mixed';
}

const LOOKS: Readonly<Record<Cell, CellLook<Colour>>> = {
  allow: { character: '●', style: 'green', meaning: 'allowed' },
  deny: { character: '·', style: 'dim', meaning: 'denied' },
  mixed: { character: '◐', style: 'yellow', meaning: 'allowed to some addresses or backends' },
  'wrongly-allowed': { character: 'A', style: 'alarm', meaning: 'ALLOWED though the policies deny it' },
  'wrongly-denied': { character: 'D', style: 'alarm', meaning: 'DENIED though the policies allow it' },
};

const SERVICE = 'service/';
const OUTSIDE = 'outside the cluster';
const SERVICES = 'services';

function numberHosts(results: readonly ProbeResult[]): ReadonlyMap<string, string> {
  const pods = new Set(results.flatMap(({ from, to }) => [from, to]).filter(isPod));
  const services = new Set(results.map(({ to }) => to).filter((to) => to.startsWith(SERVICE)));
  return new Map([
    ...[...pods].sort(byNamespaceAndName).map((pod, i) => [pod, String(i + 1)] as const),
    ...[...services].sort().map((service, i) => [service, `S${i + 1}`] as const),
  ]);
}

function isPod(name: string): boolean {
  return name.includes('/') && !name.startsWith(SERVICE);
}

function rowsOf(results: readonly ProbeResult[], ids: ReadonlyMap<string, string>): readonly TableRow[] {
  const senders = [...new Set(results.map(({ from }) => from))];
  const externals = senders.filter((sender) => !isPod(sender)).sort();
  return [
    ...senders
      .filter(isPod)
      .sort(byNamespaceAndName)
      .map((key) => {
        const [section = '', name = ''] = key.split('/');
        return { key, id: ids.get(key) ?? '', section, name };
      }),
    ...externals.map((key) => ({ key, id: '', section: OUTSIDE, name: key })),
  ];
}

function groupsOf(results: readonly ProbeResult[], ids: ReadonlyMap<string, string>): readonly TableGroup[] {
  const destinations = Map.groupBy(results, ({ to }) => to);
  return [...ids].flatMap(([key, id]) => {
    const probes = destinations.get(key);
    if (!probes) return [];
    const sorted = probes.toSorted((a, b) => a.port - b.port || a.protocol.localeCompare(b.protocol));
    const columns = [...new Set(sorted.map(columnText))];
    return isPod(key)
      ? { key, id, section: key.slice(0, key.indexOf('/')), columns }
      : { key, id, section: SERVICES, columns, name: key.slice(SERVICE.length) };
  });
}

function columnText({ port, protocol }: { port: number; protocol: string }): string {
  return `${protocol} ${port}`;
}

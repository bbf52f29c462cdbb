import { expect, test } from 'vitest';
import { renderTable, type TableContent } from '../../src/matrix/table.ts';

const LOOKS = {
  yes: { character: 'o', style: 'green', meaning: 'allowed' },
  no: { character: '.', style: 'grey', meaning: 'denied' },
} as const;

const content: TableContent<'yes' | 'no'> = {
  rows: [
    { key: 'w', id: '1', section: 'shop', name: 'web' },
    { key: 'd', id: '2', section: 'shop', name: 'db' },
    { key: 'x', id: '', section: 'outside', name: 'client' },
  ],
  groups: [
    { key: 'w', id: '1', section: 'shop', columns: ['TCP 80'] },
    { key: 'd', id: '2', section: 'shop', columns: ['TCP 5432', 'UDP 53'] },
    { key: 's', id: 'S1', section: 'services', columns: ['TCP 81'], name: 'shop/front' },
  ],
  stateAt: (row, group, column) => (row === group ? undefined : row === 'w' || column === 1 ? 'yes' : 'no'),
};

const plain = (text: string) => text;

test('a table has a row for each sender and a column for each port, with legends', () => {
  expect(renderTable(content, { width: 80, looks: LOOKS, paint: plain })).toBe(`\
from \\ to     shop   services
              1 2    S1
              a ab   a
shop
  1 web         oo   o
  2 db        .      .
outside
    client    . .o   .

o allowed   . denied
Ports
  1: TCP 80
  2: a TCP 5432, b UDP 53
  S1 shop/front: TCP 81
`);
});

test('a table that is not divided by ports has no legend for them', () => {
  const undivided = { ...content, groups: content.groups.slice(0, 1).map((group) => ({ ...group, columns: [''] })) };
  expect(renderTable(undivided, { width: 80, looks: LOOKS, paint: plain })).not.toContain('Ports');
});

test('a painted cell is in the same place as the plain one', () => {
  const painted = renderTable(content, { width: 80, looks: LOOKS, paint: (text, style) => `<${style}>${text}</>` });
  expect(painted).toContain('<green>o</><green>o</>   <green>o</>');
  expect(painted.replaceAll(/<\/?\w*>/g, '')).toBe(renderTable(content, { width: 80, looks: LOOKS, paint: plain }));
});

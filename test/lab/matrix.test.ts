import { describe, expect, test } from 'vitest';
import type { EnforcedVerdict } from '../../src/filter/verdict.ts';
import type { ProbeResult } from '../../src/lab/lab.ts';
import { cellOf, renderMatrix } from '../../src/lab/matrix.ts';

function probe(
  from: string,
  to: string,
  port: string,
  expected: EnforcedVerdict,
  observed: EnforcedVerdict = expected,
): ProbeResult {
  const [protocol, number] = port.split(' ');
  return {
    from,
    to,
    port: Number(number),
    protocol: protocol as ProbeResult['protocol'],
    expected,
    observed,
    via: 'pod',
    address: '',
    pod: to,
    delivered: false,
    detail: '',
  };
}

describe('a cell', () => {
  const allow = probe('a/x', 'a/y', 'TCP 1', 'allow');
  const deny = probe('a/x', 'a/y', 'TCP 1', 'deny');
  const leak = probe('a/x', 'a/y', 'TCP 1', 'deny', 'allow');
  const cut = probe('a/x', 'a/y', 'TCP 1', 'allow', 'deny');

  test.each([
    [[allow, allow], 'allow'],
    [[deny, deny], 'deny'],
    [[allow, deny], 'mixed'],
    [[allow, cut], 'wrongly-denied'],
    [[allow, cut, leak, deny], 'wrongly-allowed'],
  ] as const)('with several probes shows the worst', (results, cell) => {
    expect(cellOf(results)).toBe(cell);
  });
});

const results = [
  probe('shop/web-10', 'shop/db-0', 'TCP 5432', 'allow'),
  probe('shop/web-2', 'shop/db-0', 'TCP 5432', 'allow', 'deny'),
  probe('shop/db-0', 'shop/web-2', 'TCP 80', 'deny'),
  probe('shop/db-0', 'shop/web-10', 'TCP 80', 'deny', 'allow'),
  probe('shop/web-2', 'dns/core', 'UDP 53', 'allow'),
  probe('shop/web-2', 'dns/core', 'TCP 53', 'deny'),
  probe('dns/core', 'service/shop/db', 'TCP 5432', 'deny'),
  probe('client', 'service/shop/db', 'TCP 30000', 'allow'),
];

test('the matrix has a row for each sender and a column for each port, by the numbers of the rows', () => {
  expect(renderMatrix(results, { width: 80, colour: false })).toBe(`\
from \\ to     dns   shop    services
              1     2 3 4   S1
              ab    a a a   ab
dns
  1 core                    ·
shop
  2 db-0              · A
  3 web-2     ·●    D
  4 web-10          ●
outside the cluster
    client                   ●

● allowed   · denied   A ALLOWED though the policies deny it   D DENIED though the policies allow it
Ports
  1: a TCP 53, b UDP 53
  2: TCP 5432
  3-4: TCP 80
  S1 shop/db: a TCP 5432, b TCP 30000
`);
});

test('a matrix wider than the terminal is cut between destinations, and its rows are repeated', () => {
  const text = renderMatrix(results, { width: 30, colour: false });
  const table = text.slice(0, text.indexOf('\n\n●'));
  for (const line of table.split('\n')) expect(line.length).toBeLessThanOrEqual(30);
  expect(table.match(/web-10/g)).toHaveLength(2);
  expect(
    text
      .match(/[●·AD]/g)
      ?.sort()
      .join(''),
  ).toContain('A');
});

test('colours change nothing but the colour', () => {
  const coloured = renderMatrix(results, { width: 80, colour: true });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it removes escape sequences
  expect(coloured.replaceAll(/\x1b\[[\d;]*m/g, '').replaceAll(/ +$/gm, '')).toBe(
    renderMatrix(results, { width: 80, colour: false }),
  );
  expect(coloured).toContain('\x1b[1;37;41mA\x1b[0m');
});

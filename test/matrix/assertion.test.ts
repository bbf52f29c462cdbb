import { describe, expect, test } from 'vitest';
import { type Assertion, parseAssertion, parseAssertions } from '../../src/matrix/assertion.ts';

function read(text: string): Assertion {
  const parsed = parseAssertion({ title: 'test', text });
  if ('message' in parsed) throw new Error(parsed.message);
  return parsed;
}

describe('an assertion', () => {
  test('denies unless it says allow', () => {
    expect(read('a/x -> b/y:80').expected).toBe('deny');
    expect(read('deny a/x -> b/y:80').expected).toBe('deny');
    expect(read('allow a/x -> b/y:80').expected).toBe('allow');
  });

  test.each([
    ['a/x -> b/y:80', { protocol: 'TCP', first: 80, last: 80 }],
    ['a/x -> b/y:53/udp', { protocol: 'UDP', first: 53, last: 53 }],
    ['a/x -> b/y:8000-8100/SCTP', { protocol: 'SCTP', first: 8000, last: 8100 }],
    ['a/x -> b/y:http', { protocol: 'TCP', name: 'http' }],
    ['a/x -> 203.0.113.0/24:443/tcp', { protocol: 'TCP', first: 443, last: 443 }],
    ['a/x -> [fd00::/8]:443', { protocol: 'TCP', first: 443, last: 443 }],
    ['a/x -> fd00::1', undefined],
    ['a/x -> fd00::/8', undefined],
    ['a/x -> b/y', undefined],
  ])('%s is about these ports', (text, port) => {
    expect(read(text).port).toEqual(port);
  });

  test('has * for any letters and ? for one, in namespace and name', () => {
    const { from } = read('team-?/web-* -> b/y');
    if (from.kind !== 'pods') throw new Error(from.kind);
    const matches = (namespace: string, name: string) => from.namespace.test(namespace) && from.name.test(name);
    expect(matches('team-1', 'web-')).toBe(true);
    expect(matches('team-1', 'web-0.x')).toBe(true);
    expect(matches('team-12', 'web-0')).toBe(false);
    expect(matches('team-1', 'my-web-0')).toBe(false);
  });

  test('takes a dot literally', () => {
    const { from } = read('a/x.y -> b/y');
    expect(from.kind === 'pods' && from.name.test('xzy')).toBe(false);
  });

  test.each([
    ['10.0.0.0/8', 1],
    ['203.0.113.9', 1],
    ['fd00::/8', 1],
    ['outside', 2],
  ])('accepts %s as addresses', (text, areas) => {
    const { from } = read(`${text} -> b/y`);
    expect(from.kind === 'addresses' && from.areas.length).toBe(areas);
  });
});

test('a file has an assertion per line, comments, and empty lines', () => {
  const { assertions, problems } = parseAssertions(
    '# all\n\na/x -> b/y:80  # why\r\nallow a/x -> b/z:81\n',
    'rules.txt',
  );
  expect(problems).toEqual([]);
  expect(assertions.map(({ place }) => `${place.title} ${place.text}`)).toEqual([
    'rules.txt:3 a/x -> b/y:80',
    'rules.txt:4 allow a/x -> b/z:81',
  ]);
});

test.each([
  ['alow a/x -> b/y:80', '"alow" is neither allow nor deny', 'Did you mean allow?'],
  ['deny me a/x -> b/y:80', 'unexpected "me" between deny and the source', undefined],
  ['a/x => b/y:80', 'expected FROM -> TO:PORT, such as default/* -> prod/db:5432', 'Did you mean a/x -> b/y:80?'],
  ['a/x b/y', 'expected FROM -> TO:PORT, such as default/* -> prod/db:5432', undefined],
  ['a/x -> b/y -> c/z', 'there is more than one ->; write a line for each', undefined],
  ['-> b/y', 'nothing is left of ->', undefined],
  ['a/x ->', 'nothing is right of ->', undefined],
  ['a/x -> b/y b/z', '"b/y b/z" is more than one destination; write a line for each', undefined],
  ['a/x:80 -> b/y', 'a port belongs to the destination, not to a/x', 'Did you mean a/x -> b/y:80?'],
  ['a/x -> b/y:80/tpc', '"tpc" is not a protocol; protocols are tcp, udp and sctp', 'Did you mean 80/tcp?'],
  ['a/x -> b/y:udp/53', '"53" is not a protocol; protocols are tcp, udp and sctp', 'Did you mean 53/udp?'],
  ['a/x -> b/y:99999', '99999 is not a port; ports are 1 to 65535', undefined],
  ['a/x -> b/y:90-80', '90-80 is not a range of ports', 'Did you mean 80-90?'],
  ['a/x -> b/y:', '"" is neither a port number nor a port name', undefined],
  ['a/x -> y:80', '"y" names no namespace', 'Write NAMESPACE/y, or */y for every namespace.'],
  [
    'a/X_1 -> b/y',
    '"a/X_1" is not NAMESPACE/NAME of pods or a Service, nor an address or CIDR block',
    'Did you mean a/x-1?',
  ],
  ['10.0.0.0/40 -> b/y', expect.stringContaining('no valid prefix length'), 'Did you mean 10.0.0.0/8?'],
  ['10.0.0/8 -> b/y', expect.stringContaining('is not a CIDR block'), 'Did you mean 10.0.0.0/8?'],
  ['allow a/x -> b/y', 'an allow needs a port', 'Write b/y:PORT, with the port that must be open.'],
])('%s is refused with what is wrong with it', (text, message, hint) => {
  const { assertions, problems } = parseAssertions(`\n${text}`, 'rules.txt');
  expect(assertions).toEqual([]);
  expect(problems).toEqual([{ title: 'rules.txt:2', text, message, ...(hint === undefined ? {} : { hint }) }]);
});

import { describe, expect, it } from 'vitest';
import { isLoopback, parseListenAddress } from '../../src/telemetry/listen-address.ts';
import { refusal } from '../../src/telemetry/local-requests.ts';

describe('a request to an address of this machine', () => {
  it.each([
    'localhost',
    'localhost:9465',
    'LocalHost.:9465',
    'node.localhost:9465',
    '127.0.0.1',
    '127.0.0.1:9465',
    '10.1.2.3:9465',
    '[::1]:9465',
    '[fd00::1]',
  ])('as %s is answered', (host) => {
    expect(refusal({ host })).toBeUndefined();
    expect(refusal({ host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' })).toBeUndefined();
    expect(refusal({ host, 'sec-fetch-site': 'none' })).toBeUndefined();
  });

  it.each([
    undefined,
    '',
    'evil.example',
    'evil.example:9465',
    'localhost.evil.example',
    'notlocalhost',
    '127.0.0.1.evil.example',
    '127.0.0.1:9465:1',
    '[localhost]',
    '[::1',
    '::1',
    'user@localhost',
    'localhost evil.example',
  ])('as %s is refused', (host) => {
    expect(refusal(host === undefined ? {} : { host })).toMatch(/^ask by IP address or as localhost, not as "/);
  });

  it.each([
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: 'https://127.0.0.1:9465' },
    { origin: 'http://127.0.0.1:8000' },
    { 'sec-fetch-site': 'cross-site' },
    // Another port of the same host is another origin.
    { 'sec-fetch-site': 'same-site' },
  ])('from a page from elsewhere is refused: %o', (headers) => {
    expect(refusal({ host: '127.0.0.1:9465', ...headers })).toBe('pages from elsewhere get no answer');
  });
});

it.each([
  ['127.0.0.1:9465', true],
  ['127.1.2.3:1', true],
  ['[::1]:9465', true],
  [':9465', false],
  ['10.0.0.1:9465', false],
  ['[::]:9465', false],
])('%s is reached from this machine alone: %s', (text, expected) => {
  expect(isLoopback(parseListenAddress(text))).toBe(expected);
});

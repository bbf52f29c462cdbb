import { describe, expect, it } from 'vitest';
import { formatListenAddress, ListenError, parseListenAddress } from '../../src/telemetry/listen-address.ts';

describe('an address to listen at', () => {
  it.each([
    [':9464', undefined, 9464],
    [':0', undefined, 0],
    ['127.0.0.1:9464', '127.0.0.1', 9464],
    ['0.0.0.0:65535', '0.0.0.0', 65_535],
    ['[::1]:9464', '::1', 9464],
    ['[::]:80', '::', 80],
  ])('is read: %s', (text, host, port) => {
    expect(parseListenAddress(text)).toEqual({ host, port });
    expect(formatListenAddress({ host, port })).toBe(text);
  });

  it.each([
    ['', 'not an address with a port'],
    ['9464', 'not an address with a port'],
    ['127.0.0.1', 'not an address with a port'],
    ['127.0.0.1:', 'not an address with a port'],
    ['::1:9464', 'not an address with a port'],
    [':http', 'not an address with a port'],
    [' :9464', 'is not an IPv4 address'],
    [':-1', 'not an address with a port'],
    [':65536', 'from 0 to 65535'],
    ['localhost:9464', 'is not an IPv4 address'],
    ['300.0.0.1:9464', 'is not an IPv4 address'],
    ['[]:9464', 'is not an IPv6 address'],
    ['[127.0.0.1]:9464', 'is not an IPv6 address'],
    ['[::1:9464', 'not an address with a port'],
  ])('is refused with what to write instead: %j', (text, message) => {
    expect(() => parseListenAddress(text)).toThrow(message);
    expect(() => parseListenAddress(text)).toThrow(JSON.stringify(text));
    expect(() => parseListenAddress(text)).toThrow(ListenError);
  });
});

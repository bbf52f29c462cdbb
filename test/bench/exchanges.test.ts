import { afterEach, describe, expect, test } from 'vitest';
import { ask } from '../../bench/traffic/exchanges.ts';
import { SourcePorts, udpTo } from '../../bench/traffic/sockets.ts';
import { AF_INET, bind, close, SOCK_DGRAM, socket } from '../../src/sys/libc.ts';
import { localAddress, sendTo, socketAddress } from '../../src/sys/sockets.ts';

const LOOPBACK = '127.0.0.1';
const opened: number[] = [];
afterEach(() => {
  for (const fd of opened.splice(0)) close(fd);
});

function keep(fd: number): number {
  opened.push(fd);
  return fd;
}

function portOf(fd: number): number {
  return localAddress(fd).port;
}

/** A socket that shares its port with nobody, unlike those of the generators. */
function other(): number {
  const fd = keep(socket(AF_INET, SOCK_DGRAM, 0));
  bind(fd, socketAddress(LOOPBACK, 0));
  return fd;
}

describe.skipIf(process.platform !== 'linux')('an exchange', () => {
  /** What the peer has said already when the questions come, the first of which is number 1. */
  function askAfter(...numbers: readonly number[]): () => number {
    const peer = other();
    const fd = keep(udpTo(LOOPBACK, portOf(peer)));
    for (const number of numbers)
      sendTo(peer, new Uint8Array(Uint32Array.of(number).buffer), 0, socketAddress(LOOPBACK, portOf(fd)));
    return () => ask(fd);
  }

  test('is over with its own answer, and what comes late for an earlier one is none', () => {
    const exchange = askAfter(900, 901, 1, 902, 2);
    expect([exchange(), exchange()]).toEqual([expect.any(Number), expect.any(Number)]);
    // The third has no answer left to take for its own.
    expect(exchange()).toBeNaN();
  });
});

describe.skipIf(process.platform !== 'linux')('source ports of new flows', () => {
  test('go round and round, and pass over one that is in use', () => {
    const used = portOf(other());
    const ports = new SourcePorts({ first: used, count: 4 });
    const taken = Array.from({ length: 10 }, () => {
      const fd = ports.open(LOOPBACK, 9);
      const port = portOf(fd);
      close(fd);
      return port;
    });
    expect(taken).not.toContain(used);
    expect(Math.min(...taken)).toBeGreaterThan(used);
    expect(Math.max(...taken)).toBeLessThan(used + 4);
  });

  test('that are all in use are an error', () => {
    const ports = new SourcePorts({ first: portOf(other()), count: 1 });
    expect(() => ports.open(LOOPBACK, 9)).toThrow('bind: EADDRINUSE');
  });
});

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

/** Opens a socket on a port of its own. The sockets of the generators share theirs. */
function other(): number {
  const fd = keep(socket(AF_INET, SOCK_DGRAM, 0));
  bind(fd, socketAddress(LOOPBACK, 0));
  return fd;
}

describe.skipIf(process.platform !== 'linux')('an exchange', () => {
  /**
   * Returns an exchange with a peer that has already sent `numbers`. The first question is number
   * 1.
   */
  function askAfter(...numbers: readonly number[]): () => number {
    const peer = other();
    const fd = keep(udpTo(LOOPBACK, portOf(peer)));
    for (const number of numbers)
      sendTo(peer, new Uint8Array(Uint32Array.of(number).buffer), 0, socketAddress(LOOPBACK, portOf(fd)));
    return () => ask(fd);
  }

  test('ends with its own answer and ignores late answers to earlier questions', () => {
    const exchange = askAfter(900, 901, 1, 902, 2);
    expect([exchange(), exchange()]).toEqual([expect.any(Number), expect.any(Number)]);
    // The second exchange took the last answer.
    expect(exchange()).toBeNaN();
  });
});

describe.skipIf(process.platform !== 'linux')('source ports of new flows', () => {
  test('are used in turn, except one that is in use', () => {
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

  test('cause an error when all are in use', () => {
    const ports = new SourcePorts({ first: portOf(other()), count: 1 });
    expect(() => ports.open(LOOPBACK, 9)).toThrow('bind: EADDRINUSE');
  });
});

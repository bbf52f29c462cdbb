/**
 * Sends every datagram back to its sender. It blocks, so that only the kernel and one thread are
 * between question and answer.
 */
import { setImmediate } from 'node:timers/promises';
import { SOCK_DGRAM } from '../../src/sys/libc.ts';
import { dieWithParent } from '../../src/sys/parent-death.ts';
import { peerAddress, receiveFrom, sendTo } from '../../src/sys/sockets.ts';
import { answer, report } from '../harness/child.ts';
import type { ServerInput } from './servers.ts';
import { boundTo } from './sockets.ts';

/** Bytes of `struct sockaddr_in`. */
const IPV4_ADDRESS = 16;

answer(async ({ port }: ServerInput) => {
  dieWithParent(process.ppid);
  const data = new Uint8Array(2048);
  const peer = peerAddress.subarray(0, IPV4_ADDRESS);
  const fd = boundTo('0.0.0.0', SOCK_DGRAM, port);
  report(process.pid);
  await setImmediate();
  for (;;) {
    const length = receiveFrom(fd, data, 0);
    if (length > 0) sendTo(fd, length === data.length ? data : data.subarray(0, length), 0, peer);
  }
});

/**
 * The smallest possible HTTP server: it takes any data for a request, answers, and closes. It
 * exists to measure the path to it.
 */
import { setImmediate } from 'node:timers/promises';
import { EPOLLIN, Epoll } from '../../src/sys/epoll.ts';
import { close, recv, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, send } from '../../src/sys/libc.ts';
import { dieWithParent } from '../../src/sys/parent-death.ts';
import { accept, listen } from '../../src/sys/sockets.ts';
import { answer, report } from '../harness/child.ts';
import type { ServerInput } from './servers.ts';
import { boundTo } from './sockets.ts';

const BACKLOG = 4096;
const ANSWER = new TextEncoder().encode('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');

const request = new Uint8Array(4096);

answer(async ({ port }: ServerInput) => {
  dieWithParent(process.ppid);
  const epoll = new Epoll();
  const listener = boundTo('0.0.0.0', SOCK_STREAM | SOCK_NONBLOCK, port);
  listen(listener, BACKLOG);
  epoll.add(listener, EPOLLIN, () => {
    for (let fd = acceptFrom(listener); fd >= 0; fd = acceptFrom(listener)) serve(epoll, fd);
  });
  report(process.pid);
  await setImmediate();
  for (;;) epoll.wait(-1);
});

function acceptFrom(listener: number): number {
  return accept(listener, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/** The request may have arrived already. */
function serve(epoll: Epoll, fd: number): void {
  if (answerTo(fd)) {
    close(fd);
    return;
  }
  epoll.add(fd, EPOLLIN, () => {
    answerTo(fd);
    epoll.close(fd);
  });
}

function answerTo(fd: number): boolean {
  return recv(fd, request, request.length, 0) > 0 && send(fd, ANSWER, ANSWER.length, 0) > 0;
}

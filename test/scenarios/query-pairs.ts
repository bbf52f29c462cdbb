/**
 * Queries as a resolver sends them: two at once from one fresh socket, for A and AAAA. Both reach
 * connection tracking as the first packet of the same flow.
 */
import type { LabHost } from '../../src/lab/lab.ts';
import { close, recv, SOCK_DGRAM, SOCK_NONBLOCK, send, socket } from '../../src/sys/libc.ts';
import { connect, familyOf, socketAddress } from '../../src/sys/sockets.ts';

/** Sockets that are open at the same time. */
const TOGETHER = 25;

const query = new TextEncoder().encode('query');
const answer = new Uint8Array(512);

/**
 * Asks `pairs` times, and counts the queries and those without an answer. Nothing is retransmitted.
 * @param patience how long to wait for answers, in ms
 */
export async function askInPairs(
  from: LabHost,
  server: string,
  port: number,
  pairs: number,
  patience = 2000,
): Promise<{ asked: number; unanswered: number }> {
  let asked = 0;
  let unanswered = 0;
  for (let done = 0; done < pairs; done += TOGETHER) {
    const count = Math.min(TOGETHER, pairs - done);
    const sockets = from.netns.run(() =>
      Array.from({ length: count }, () => socket(familyOf(server), SOCK_DGRAM | SOCK_NONBLOCK, 0)),
    );
    const missing = new Map<number, number>();
    for (const fd of sockets) {
      connect(fd, socketAddress(server, port));
      for (let i = 0; i < 2; i++) if (send(fd, query, query.length, 0) > 0) asked++;
      missing.set(fd, 2);
    }
    await receiveAll(missing, patience);
    for (const count of missing.values()) unanswered += count;
    for (const fd of sockets) close(fd);
  }
  return { asked, unanswered };
}

/**
 * Removes the sockets that got their answers from `missing`; returns when all did, or after
 * `patience`.
 */
async function receiveAll(missing: Map<number, number>, patience: number): Promise<void> {
  const end = performance.now() + patience;
  while (missing.size > 0 && performance.now() < end) {
    for (const [fd, count] of missing) {
      if (recv(fd, answer, answer.length, 0) <= 0) continue;
      if (count === 1) missing.delete(fd);
      else missing.set(fd, count - 1);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

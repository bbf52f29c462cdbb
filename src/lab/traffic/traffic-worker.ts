/**
 * The traffic thread: one loop that waits for all listeners and attempts of the lab. It sleeps in
 * epoll_wait, so an eventfd signals each request.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { EPOLLIN, Epoll } from '../../sys/epoll.ts';
import { read } from '../../sys/libc.ts';
import { Listeners } from './listeners.ts';
import type { AttemptOutcome, TrafficReply, TrafficRequest } from './messages.ts';
import { Prober } from './prober.ts';
import { SctpSockets } from './sctp-socket.ts';

/**
 * `waveSize` is the most attempts in parallel; each may hold two descriptors, its own and the
 * accepted one.
 */
const { port, wake, waveSize } = workerData as { port: MessagePort; wake: number; waveSize: number };

const epoll = new Epoll();
const sctp = new SctpSockets(epoll);
const prober = new Prober(epoll, sctp);
const listeners = new Listeners(epoll, sctp, prober);
const counter = new Uint8Array(8);
let stopped = false;

epoll.add(wake, EPOLLIN, () => {
  read(wake, counter, 8);
  for (let message = receiveMessageOnPort(port); message; message = receiveMessageOnPort(port)) {
    const { request, body } = message.message as { request: number; body: TrafficRequest };
    try {
      handle(request, body);
    } catch (error) {
      reply({ request, type: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  }
});

while (!stopped) epoll.wait(prober.tick(performance.now()));
// Open sockets would keep their namespaces alive: descriptors belong to the process, not to this
// thread.
epoll[Symbol.dispose]();
parentPort?.close();

function handle(request: number, body: TrafficRequest): void {
  switch (body.type) {
    case 'listen':
      reply({
        request,
        type: 'done',
        result: body.specs.map((spec) => listeners.open(spec)).filter((failure) => failure !== undefined),
      });
      break;
    case 'forget':
      listeners.close((spec) => body.netns.includes(spec.netns) || body.speakers.includes(spec.speaker));
      for (const netns of body.netns) sctp.forget(netns);
      reply({ request, type: 'done', result: undefined });
      break;
    case 'attempt':
      attempt(request, body, 0, []);
      break;
    case 'stop':
      stopped = true;
      reply({ request, type: 'done', result: undefined });
  }
}

/** Makes the attempts, one wave after the other. */
function attempt(
  request: number,
  body: TrafficRequest & { type: 'attempt' },
  first: number,
  outcomes: AttemptOutcome[],
): void {
  if (first >= body.specs.length) {
    reply({ request, type: 'done', result: outcomes });
    return;
  }
  prober.start(body.specs.slice(first, first + waveSize), body.timing, (wave) => {
    outcomes.push(...wave);
    reply({ request, type: 'progress', finished: outcomes.length });
    attempt(request, body, first + waveSize, outcomes);
  });
}

function reply(message: TrafficReply): void {
  port.postMessage(message);
}

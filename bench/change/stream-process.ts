/**
 * Sends two streams of datagrams from one pod to another and receives them, in one thread: one
 * stream on a single flow, one on a new flow each time. Whenever the datagrams of a stream begin or
 * cease to arrive, it reports when the first such datagram was sent.
 */
import { openSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { close, SOCK_DGRAM, SOCK_NONBLOCK, send } from '../../src/sys/libc.ts';
import { libcFunction } from '../../src/sys/native.ts';
import { runInNetns } from '../../src/sys/netns.ts';
import { dieWithParent } from '../../src/sys/parent-death.ts';
import { peerAddress, receiveFrom, sendTo } from '../../src/sys/sockets.ts';
import { answer, report } from '../harness/child.ts';
import type { Target } from '../traffic/exchanges.ts';
import { boundTo, SourcePorts, udpTo } from '../traffic/sockets.ts';
import { monotonic } from './monotonic.ts';
import { STREAMS, type Turn } from './stream.ts';

export interface StreamInput extends Target {
  /** Path of the server's network namespace. */
  readonly server: string;
}

/** Pause between two datagrams of the steady flow, in us; the kernel adds about fifty. */
const PAUSE_US = 100;
/** Every n-th turn opens a new flow. More often, a full flow table would be what is measured. */
const TURNS_PER_FLOW = 5;
/** A datagram that has not arrived after this many ms is lost. */
const LOST_AFTER = 25;
const SOURCE_PORTS = { first: 10_000, count: 50_000 };
/** Source port of the steady flow, below those of new flows. */
const STEADY_PORT = 9_999;
/** How many send times a stream keeps; a power of two. */
const HISTORY = 1 << 16;
const IPV4_ADDRESS = 16;

const usleep = libcFunction('int usleep(unsigned int us)');
const buffer = new Uint8Array(64);
const numbers = new Uint32Array(buffer.buffer, 0, 2);

class Stream {
  readonly #name: Turn['stream'];
  readonly #number: number;
  readonly #sentAt = new Float64Array(HISTORY);
  #sent = 0;
  /** Number of the first datagram not received, if all before it were. */
  #awaited = 0;
  #arriving = false;

  constructor(name: Turn['stream'], number: number) {
    this.#name = name;
    this.#number = number;
  }

  send(fd: number): void {
    numbers[0] = this.#number;
    numbers[1] = this.#sent;
    this.#sentAt[this.#sent % HISTORY] = monotonic();
    this.#sent++;
    send(fd, buffer, 8, 0);
  }

  arrived(number: number): void {
    this.#awaited = Math.max(this.#awaited, number + 1);
    if (!this.#arriving) this.#turn(true, number);
  }

  check(now: number): void {
    if (!this.#arriving || this.#awaited === this.#sent) return;
    if (now - this.#sentTime(this.#awaited) > LOST_AFTER) this.#turn(false, this.#awaited);
  }

  #turn(arriving: boolean, number: number): void {
    this.#arriving = arriving;
    report({ stream: this.#name, arriving, sentAt: this.#sentTime(number) } satisfies Turn);
  }

  #sentTime(number: number): number {
    return this.#sentAt[number % HISTORY] as number;
  }
}

answer(async (input: StreamInput) => {
  dieWithParent(process.ppid);
  const streams = STREAMS.map((name, number) => new Stream(name, number));
  const [steady, fresh] = streams as [Stream, Stream];
  const ear = runInNetns(openSync(input.server, 'r'), () =>
    boundTo(input.address, SOCK_DGRAM | SOCK_NONBLOCK, input.port),
  );
  const steadyFd = udpTo(input.address, input.port, STEADY_PORT);
  const ports = new SourcePorts(SOURCE_PORTS);
  for (let turn = 0; ; turn++) {
    steady.send(steadyFd);
    if (turn % TURNS_PER_FLOW === 0) {
      const fd = ports.open(input.address, input.port);
      fresh.send(fd);
      close(fd);
    }
    receive(ear, streams);
    const now = monotonic();
    for (const stream of streams) stream.check(now);
    usleep(PAUSE_US);
    await setImmediate();
  }
});

/** Answers the steady flow, so that it carries packets both ways. */
function receive(fd: number, streams: readonly Stream[]): void {
  while (receiveFrom(fd, buffer, 0) >= 8) {
    const [stream = 0, number = 0] = numbers;
    streams[stream]?.arrived(number);
    if (stream === 0) sendTo(fd, buffer.subarray(0, 8), 0, peerAddress.subarray(0, IPV4_ADDRESS));
  }
}

/**
 * Makes many attempts in parallel, and decides how long to wait for them. An attempt with an
 * expected answer ends when the answer arrives or its patience is over. An attempt without one ends
 * when the watch is over and every other attempt of its wave has ended: anything that arrives until
 * then counts against it.
 */
import type { Epoll } from '../../sys/epoll.ts';
import { runInNetns } from '../../sys/netns.ts';
import type { SocketAddress } from '../../sys/sockets.ts';
import { Attempt } from './attempt.ts';
import { halfOpen, halfOpenKey } from './half-open.ts';
import type { ArrivalObserver } from './listeners.ts';
import type { AttemptOutcome, AttemptSpec, ListenSpec, Timing } from './messages.ts';
import type { SctpSockets } from './sctp-socket.ts';

/** Attempts opened before answers are read again: few enough for every receive buffer. */
const SLICE = 128;

interface Wave {
  readonly timing: Timing;
  readonly finished: (outcomes: readonly AttemptOutcome[]) => void;
  readonly waiting: AttemptSpec[];
  readonly attempts: Attempt[];
  /** When the last attempt was opened, in ms. */
  openedAt: number;
}

export class Prober implements ArrivalObserver {
  readonly #epoll: Epoll;
  readonly #sctp: SctpSockets;
  readonly #nextPorts = new Map<string, number>();
  readonly #byId = new Map<number, Attempt>();
  readonly #byArrival = new Map<string, Attempt>();
  #wave: Wave | undefined;

  constructor(epoll: Epoll, sctp: SctpSockets) {
    this.#epoll = epoll;
    this.#sctp = sctp;
  }

  /** Starts a wave; only one runs at a time. `tick` calls `finished`. */
  start(specs: readonly AttemptSpec[], timing: Timing, finished: Wave['finished']): void {
    const waiting = [...specs].sort((a, b) => a.netns - b.netns);
    this.#wave = { timing, finished, waiting, attempts: [], openedAt: 0 };
  }

  /**
   * Does what is due at `now` (ms). Returns the ms until the next action, or -1 if there is none.
   */
  tick(now: number): number {
    const wave = this.#wave;
    if (!wave) return -1;
    if (wave.waiting.length > 0) {
      this.#openSlice(wave, now);
      return 0;
    }
    const next = this.#nextDue(wave, now);
    if (next !== Number.POSITIVE_INFINITY) return Math.ceil(next - now);
    this.#finish(wave);
    // The `finished` callback may have started the next wave.
    return this.#wave ? 0 : -1;
  }

  arrived(listener: ListenSpec, peer: SocketAddress, id: number | undefined): void {
    const attempt = id === undefined ? this.#byArrival.get(arrivalKey(listener, peer)) : this.#byId.get(id);
    if (attempt) attempt.delivered = true;
  }

  #openSlice(wave: Wave, now: number): void {
    const first = wave.waiting[0];
    if (!first) return;
    let count = 1;
    while (count < SLICE && wave.waiting[count]?.netns === first.netns) count++;
    runInNetns(first.netns, () => {
      for (const spec of wave.waiting.splice(0, count)) {
        const attempt = new Attempt(spec, this.#epoll, this.#sctp);
        wave.attempts.push(attempt);
        this.#byId.set(spec.id, attempt);
        attempt.start(() => this.#nextPort(spec), now);
        const { arrival, protocol, source } = spec;
        const key = arrivalKey({ ...arrival, protocol }, { address: source, port: attempt.sourcePort });
        this.#byArrival.set(key, attempt);
      }
    });
    wave.openedAt = now;
  }

  /**
   * Does what is due now. Returns the time of the wave's next action; infinity if the wave is over.
   */
  #nextDue(wave: Wave, now: number): number {
    const patienceEnds = wave.openedAt + wave.timing.patience;
    const watchEnds = wave.openedAt + wave.timing.watch;
    let next = Number.POSITIVE_INFINITY;
    let watching = false;
    for (const attempt of wave.attempts) {
      if (attempt.ended) continue;
      if (!attempt.spec.expectAnswer) {
        watching = true;
      } else if (now < patienceEnds) {
        if (attempt.resendAt <= now) attempt.resend(now);
        next = Math.min(next, attempt.resendAt, patienceEnds);
      }
    }
    return next === Number.POSITIVE_INFINITY && watching && now < watchEnds ? watchEnds : next;
  }

  #finish(wave: Wave): void {
    this.#wave = undefined;
    this.#findHalfOpen(wave.attempts);
    this.#byId.clear();
    this.#byArrival.clear();
    wave.finished(wave.attempts.map((attempt) => attempt.finish()));
  }

  #findHalfOpen(attempts: readonly Attempt[]): void {
    const seen = new Map<number, ReadonlySet<string>>();
    for (const attempt of attempts) {
      const { protocol, arrival, source, expectAnswer } = attempt.spec;
      if (protocol !== 'TCP' || expectAnswer) continue;
      const connections = seen.get(arrival.netns) ?? halfOpen(arrival.netns);
      seen.set(arrival.netns, connections);
      if (connections.has(halfOpenKey(arrival.port, source, attempt.sourcePort))) attempt.delivered = true;
    }
  }

  /**
   * Returns the source port that was least recently used towards this target, so connection
   * tracking no longer remembers it.
   */
  #nextPort({ netns, target, port, protocol, sourcePorts }: AttemptSpec): number {
    const key = `${netns} ${protocol} ${target} ${port} ${sourcePorts.first}`;
    const next = this.#nextPorts.get(key) ?? 0;
    this.#nextPorts.set(key, (next + 1) % sourcePorts.count);
    return sourcePorts.first + next;
  }
}

/** Includes the protocol, because probes of different protocols may use the same ports. */
function arrivalKey(
  { netns, protocol, port }: Pick<ListenSpec, 'netns' | 'protocol' | 'port'>,
  peer: SocketAddress,
): string {
  return `${netns} ${protocol} ${port} ${peer.address} ${peer.port}`;
}

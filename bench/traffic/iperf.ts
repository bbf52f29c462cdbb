/** Throughput between two pods, by iperf3 (https://software.es.net/iperf/). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Netns } from '../../src/sys/netns.ts';
import { onCores } from './core.ts';
import { runIn, serverAddress, type TwoPods } from './two-pods.ts';

/** Payload of a datagram, in bytes. */
const DATAGRAM = 64;
/** Buffer of the receiver's socket, because the receiver may have to wait for a core. */
const WINDOW = '2M';
const ATTEMPTS = 4;

export interface DatagramRate {
  /** Datagrams per second. */
  readonly received: number;
  /** In total. */
  readonly sent: number;
  readonly lost: number;
  /** CPU time of sender and receiver together, in us, including their time in the kernel. */
  readonly cpu: number;
}

/** The cores on which the ends run. */
export interface EndCores {
  readonly client: number;
  readonly server: number;
}

export interface StreamLimits {
  readonly seconds: number;
  /** At most this many bits (TCP) or datagrams (UDP) a second. @default as many as possible */
  readonly rate?: number;
  /** @default where the kernel puts them */
  readonly cores?: EndCores;
}

/** Sends on one TCP connection: bits per second. */
export async function tcpThroughput(pods: TwoPods, limits: StreamLimits): Promise<number> {
  const { sum_received } = await iperf(pods, limits, ['-b', String(limits.rate ?? 0)]);
  return sum_received.bits_per_second;
}

/** Sends one UDP flow of 64-byte datagrams. */
export async function datagramRate(pods: TwoPods, limits: StreamLimits): Promise<DatagramRate> {
  const bits = Math.round(limits.rate ?? 0) * DATAGRAM * 8;
  const end = await iperf(pods, limits, ['-u', '-l', String(DATAGRAM), '-b', String(bits), '-w', WINDOW]);
  const { packets: sent, lost_packets: lost, seconds } = end.sum;
  const { host_total, remote_total } = end.cpu_utilization_percent;
  return { received: (sent - lost) / seconds, sent, lost, cpu: (host_total + remote_total) * seconds * 10_000 };
}

/** The parts of iperf3's report that are read. */
interface End {
  readonly sum_received: { readonly bits_per_second: number };
  readonly sum: { readonly packets: number; readonly lost_packets: number; readonly seconds: number };
  /** By the processes' clocks: 100 is one core for the whole time. */
  readonly cpu_utilization_percent: { readonly host_total: number; readonly remote_total: number };
}

/**
 * Runs iperf3, and retries: its first datagram sometimes arrives before its own server listens and
 * is refused, and such a run measures nothing.
 */
async function iperf(pods: TwoPods, limits: StreamLimits, flags: readonly string[]): Promise<End> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await iperfOnce(pods, limits, flags);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

async function iperfOnce(pods: TwoPods, { seconds, cores }: StreamLimits, flags: readonly string[]): Promise<End> {
  await using _server = await startServer(pods.server.netns, cores && [cores.server]);
  const command = ['iperf3', '-c', serverAddress(pods), '-t', String(seconds), '-J', ...flags];
  const client = onCores(cores && [cores.client], command);
  const report = JSON.parse(await runIn(pods.client, client)) as { error?: string; end: End };
  if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
  return report.end;
}

/** Resolves when the server listens, on iperf3's own port. */
async function startServer(netns: Netns, cores: readonly number[] | undefined): Promise<AsyncDisposable> {
  const args = ['--pdeathsig', 'KILL', ...onCores(cores, ['iperf3', '--server', '--forceflush'])];
  const server = netns.run(() => spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] }));
  const exited = once(server, 'exit');
  const listening = new Promise<void>((resolve) => {
    server.stdout.on('data', (said: Buffer) => {
      if (said.includes('listening')) resolve();
    });
  });
  const ended = text(server.stdout).then((said) => {
    throw new Error(`iperf3 --server ended: ${said.trim()}`);
  });
  await Promise.race([listening, ended]);
  ended.catch(() => undefined);
  return {
    // Its port is in use until it is gone.
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL');
      await exited;
    },
  };
}

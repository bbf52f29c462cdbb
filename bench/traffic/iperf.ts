/** Throughput between two pods, by iperf3 (https://software.es.net/iperf/). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Netns } from '../../src/sys/netns.ts';
import { onCores } from './core.ts';
import { runIn, serverAddress, type TwoPods } from './two-pods.ts';

/** Bytes that a datagram carries. */
const DATAGRAM = 64;
/** Buffer of the receiver's socket: it may have to wait for a core. */
const WINDOW = '2M';
const ATTEMPTS = 4;

export interface DatagramRate {
  /** Datagrams per second. */
  readonly received: number;
  /** In all. */
  readonly sent: number;
  readonly lost: number;
  /** CPU time of the sender and the receiver together, in us: what they have spent in the kernel on the way of the packets too. */
  readonly cpu: number;
}

/** Where the ends run. */
export interface EndCores {
  readonly client: number;
  readonly server: number;
}

export interface StreamLimits {
  readonly seconds: number;
  /** Of TCP bits, of UDP datagrams; in a second, at most. @default as many as can be sent */
  readonly rate?: number;
  /** @default wherever the kernel puts them */
  readonly cores?: EndCores;
}

/** TCP, one connection: bits per second. */
export async function tcpThroughput(pods: TwoPods, limits: StreamLimits): Promise<number> {
  const { sum_received } = await iperf(pods, limits, ['-b', String(limits.rate ?? 0)]);
  return sum_received.bits_per_second;
}

/** UDP, one flow of 64-byte datagrams. */
export async function datagramRate(pods: TwoPods, limits: StreamLimits): Promise<DatagramRate> {
  const bits = Math.round(limits.rate ?? 0) * DATAGRAM * 8;
  const end = await iperf(pods, limits, ['-u', '-l', String(DATAGRAM), '-b', String(bits), '-w', WINDOW]);
  const { packets: sent, lost_packets: lost, seconds } = end.sum;
  const { host_total, remote_total } = end.cpu_utilization_percent;
  return { received: (sent - lost) / seconds, sent, lost, cpu: (host_total + remote_total) * seconds * 10_000 };
}

/** What is read of iperf3's report. */
interface End {
  readonly sum_received: { readonly bits_per_second: number };
  readonly sum: { readonly packets: number; readonly lost_packets: number; readonly seconds: number };
  /** From the clocks of the processes: 100 is a core for the whole time. */
  readonly cpu_utilization_percent: { readonly host_total: number; readonly remote_total: number };
}

/** Its first datagram sometimes comes before its own server listens for it, and is refused: such a run has measured nothing. */
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

/** Resolves when it listens, on iperf3's own port. */
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
    // Until it is gone its port is in use.
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL');
      await exited;
    },
  };
}

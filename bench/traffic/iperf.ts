/** Throughput between two pods, by iperf3 (https://software.es.net/iperf/). */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { Netns } from '../../src/sys/netns.ts';
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
}

/** TCP, one connection: bits per second. @param bits at most so many per second; without it as many as there can be */
export async function tcpThroughput(pods: TwoPods, seconds: number, bits = 0): Promise<number> {
  const { sum_received } = await iperf(pods, seconds, ['-b', String(bits)]);
  return sum_received.bits_per_second;
}

/** UDP, one flow of 64-byte datagrams. @param rate datagrams per second; without it as many as can be sent */
export async function datagramRate(pods: TwoPods, seconds: number, rate = 0): Promise<DatagramRate> {
  const bits = Math.round(rate) * DATAGRAM * 8;
  const { sum } = await iperf(pods, seconds, ['-u', '-l', String(DATAGRAM), '-b', String(bits), '-w', WINDOW]);
  const { packets: sent, lost_packets: lost } = sum;
  return { received: (sent - lost) / sum.seconds, sent, lost };
}

/** What is read of iperf3's report. */
interface End {
  readonly sum_received: { readonly bits_per_second: number };
  readonly sum: { readonly packets: number; readonly lost_packets: number; readonly seconds: number };
}

/** Its first datagram sometimes comes before its own server listens for it, and is refused: such a run has measured nothing. */
async function iperf(pods: TwoPods, seconds: number, flags: readonly string[]): Promise<End> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await iperfOnce(pods, seconds, flags);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

async function iperfOnce(pods: TwoPods, seconds: number, flags: readonly string[]): Promise<End> {
  using _server = await startServer(pods.server.netns);
  const client = ['iperf3', '-c', serverAddress(pods), '-t', String(seconds), '-J', ...flags];
  const report = JSON.parse(await runIn(pods.client, client)) as { error?: string; end: End };
  if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
  return report.end;
}

/** Resolves when it listens, on iperf3's own port. */
async function startServer(netns: Netns): Promise<Disposable> {
  const args = ['--pdeathsig', 'KILL', 'iperf3', '--server', '--forceflush'];
  const server = netns.run(() => spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] }));
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
  return { [Symbol.dispose]: () => void server.kill('SIGKILL') };
}

/**
 * Connections between two pods, by wrk (https://github.com/wg/wrk): many clients that connect, send
 * a request, read the answer and start over.
 */
import { onCores } from './core.ts';
import { runIn, serverAddress, type TwoPods } from './two-pods.ts';

const CLIENTS = 64;

export interface ConnectionRate {
  readonly perSecond: number;
  /** Time of a connection from its beginning to its answer, in ms. */
  readonly p99: number;
  /** Total of failed connections. */
  readonly failed: number;
}

/**
 * @param port the server's HTTP port @param core where the clients run; undefined to let the kernel
 * choose
 */
export async function connectionRate(
  pods: TwoPods,
  port: number,
  seconds: number,
  core?: number,
): Promise<ConnectionRate> {
  const load = ['-t', '1', '-c', String(CLIENTS), '-d', `${seconds}s`, '--latency', '-H', 'Connection: close'];
  const wrk = ['wrk', ...load, `http://${serverAddress(pods)}:${port}/`];
  return parseReport(await runIn(pods.client, onCores(core === undefined ? undefined : [core], wrk)));
}

/** Parses wrk's text, its only format. @throws Error if the text is not as expected */
export function parseReport(text: string): ConnectionRate {
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1) ?? [];
  const [, perSecond = ''] = find(text, /Requests\/sec:\s+([\d.]+)/);
  const [, p99 = '', unit = ''] = find(text, /99%\s+([\d.]+)(us|ms|s)/);
  return {
    perSecond: Number(perSecond),
    p99: Number(p99) * (MILLISECONDS[unit] ?? Number.NaN),
    failed: errors.reduce((sum, count) => sum + Number(count), 0),
  };
}

const MILLISECONDS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 };

function find(text: string, pattern: RegExp): RegExpExecArray {
  const match = pattern.exec(text);
  if (match === null) throw new Error(`unexpected output of wrk: ${text}`);
  return match;
}

/**
 * What `podfence audit` and `podfence wire` share: they judge live traffic until they are stopped.
 */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { nearest } from '../../cluster/nearest.ts';
import {
  type CaptureChange,
  CaptureUnavailableError,
  DEFAULT_BUFFER,
  type LiveTraffic,
} from '../../traffic/live-traffic.ts';
import type { WholeCluster } from '../../traffic/whole-cluster.ts';
import { type ClusterInput, type ClusterInputFlags, withClusterInput } from './cluster-input.ts';
import { ExitCode, UnavailableError } from './exit-code.ts';
import { followCluster } from './followed-cluster.ts';
import { LiveFlows } from './live-flows.ts';
import { type NodeFlags, nodesOf, withNodes } from './node-addresses.ts';
import { tell } from './tell.ts';

const MIB = 1 << 20;

/** As commander gives them. */
export interface LiveFlags extends ClusterInputFlags, NodeFlags {
  readonly all?: true;
  readonly json?: true;
  readonly buffer: number;
  readonly duration?: number;
}

export const LIVE_HELP = `
One line per flow, as in podfence flows. With --json one line per flow, again (with the same id)
when its count has grown, and last {"summary":{…}}. The command follows the manifests, or the
cluster, as they change. Ctrl-C ends it and shows the summary.`;

export function withLiveFlags(command: Command): Command {
  return withNodes(withClusterInput(command))
    .option('--all', 'show allowed flows too')
    .option('--json', 'one line of JSON per flow, and nothing else, on standard output')
    .option(
      '--buffer <MiB>',
      "size of the kernel's buffer for captured frames, for each interface",
      bufferSize,
      DEFAULT_BUFFER / MIB,
    )
    .option('--duration <seconds>', 'end after this time', positive);
}

export function bufferBytes({ buffer }: LiveFlags): number {
  return Math.ceil(buffer * MIB);
}

/** Reads MiB. libpcap takes the size in bytes, as an int. */
function bufferSize(value: string): number {
  const number = positive(value);
  if (number < 1 || number > 2047) throw new InvalidArgumentError('Give a number from 1 to 2047.');
  return number;
}

export function positive(value: string): number {
  const number = Number(value);
  if (!(number > 0 && number < 1e6)) throw new InvalidArgumentError('Give a number above 0 and below 1000000.');
  return number;
}

/** How a live command ended. */
export interface LiveEnd {
  readonly denied: number;
  readonly hasErrors: boolean;
}

/**
 * Judges and shows live traffic until Ctrl-C.
 * @param start may refuse the cluster as it was read
 * @throws UnavailableError if nothing can be captured, or nothing ever was on an interface, and
 * what `start` throws
 */
export async function runLive(
  flags: LiveFlags,
  start: (
    cluster: WholeCluster,
    onChange: (change: CaptureChange) => void,
    input: ClusterInput,
  ) => Promise<LiveTraffic>,
): Promise<LiveEnd> {
  const followed = await followCluster(flags, nodesOf(flags));
  // Until here Ctrl-C ends the process at once, however long a cluster takes to answer.
  const interrupted = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  const { cluster, input } = followed;
  const opened = new Set<string>();
  const told = new Map<string, string | undefined>();
  const onChange = (change: CaptureChange) => {
    if (change.closed === undefined) opened.add(change.interface);
    if (!isNews(told, change)) return;
    told.set(change.interface, change.closed);
    tellChange(change);
  };
  const traffic = await startOrExplain(() => start(cluster, onChange, input));
  const flows = new LiveFlows(traffic, cluster, { json: flags.json === true, all: flags.all === true });
  flows.start();
  followed.follow(() => {
    flows.show();
    void traffic.update();
  });
  const over =
    flags.duration === undefined ? [] : [new Promise((resolve) => setTimeout(resolve, 1000 * (flags.duration ?? 0)))];
  const failure = await Promise.race([interrupted, traffic.ended, ...over]);
  await followed.stop();
  const denied = flows.finish();
  const unheard = traffic.closed.find((each) => !opened.has(each.interface));
  await traffic.stop();
  if (failure instanceof Error) throw failure;
  if (unheard !== undefined)
    throw new UnavailableError(`nothing was captured on ${unheard.interface}: ${unheard.closed}`);
  return { denied, hasErrors: input.hasErrors };
}

/** Returns 2 if manifests have errors, otherwise 0. */
export function exitCodeOf({ hasErrors }: LiveEnd): number {
  return hasErrors ? ExitCode.badInput : ExitCode.ok;
}

async function startOrExplain(start: () => Promise<LiveTraffic>): Promise<LiveTraffic> {
  try {
    return await start();
  } catch (error) {
    throw error instanceof CaptureUnavailableError ? new UnavailableError(error.message) : error;
  }
}

/**
 * Whether to report a change. An abort closes all interfaces of a side at once, so only the one
 * that could not be opened again is reported.
 */
function isNews(
  told: ReadonlyMap<string, string | undefined>,
  { interface: name, closed, isAbort }: CaptureChange,
): boolean {
  return isAbort === undefined && !(told.has(name) && told.get(name) === closed);
}

function tellChange({ interface: name, closed }: CaptureChange): void {
  const meant = closed?.startsWith('No such device') ? nearest(name, interfaceNames()) : undefined;
  const hint = meant === undefined ? '' : `. Did you mean ${meant}?`;
  tell(closed === undefined ? `${name} is captured.\n` : `${name} is not captured: ${closed}${hint}\n`);
}

/** Returns the names of all interfaces. Unlike node:os, it includes those that are down. */
function interfaceNames(): readonly string[] {
  const lines = readFileSync('/proc/net/dev', 'utf8').split('\n');
  return lines.flatMap((line) => /^ *(\S+):/.exec(line)?.[1] ?? []);
}

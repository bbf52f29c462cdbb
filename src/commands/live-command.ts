/** What `podfence audit` and `podfence wire` have in common: they judge live traffic until they are ended. */
import { type Command, InvalidArgumentError } from 'commander';
import {
  type CaptureChange,
  CaptureUnavailableError,
  DEFAULT_BUFFER,
  type LiveTraffic,
} from '../capture/live-traffic.ts';
import type { WholeCluster } from '../capture/whole-cluster.ts';
import { type ClusterInputFlags, withClusterInput } from './cluster-input.ts';
import { ExitCode, UnavailableError } from './exit-code.ts';
import { followCluster } from './followed-cluster.ts';
import { LiveFlows } from './live-flows.ts';
import { type NodeFlags, nodesOf, withNodes } from './node-addresses.ts';

const MIB = 1 << 20;

/** As commander gives them. */
export interface LiveFlags extends ClusterInputFlags, NodeFlags {
  readonly all?: true;
  readonly json?: true;
  readonly buffer: number;
  readonly duration?: number;
}

export const LIVE_HELP = `
One line a flow, as podfence flows has them. With --json one line a flow, again when its count has grown (the same
id), and last {"summary":{…}}. Manifests, or the cluster, are followed as they change. Ctrl-C ends it and shows the summary.`;

export function withLiveFlags(command: Command): Command {
  return withNodes(withClusterInput(command))
    .option('--all', 'show flows that are allowed too')
    .option('--json', 'one line of JSON a flow, and nothing else, on standard output')
    .option(
      '--buffer <MiB>',
      "the kernel's buffer for captured frames, for each interface",
      positive,
      DEFAULT_BUFFER / MIB,
    )
    .option('--duration <seconds>', 'end after so long', positive);
}

export function bufferBytes({ buffer }: LiveFlags): number {
  return buffer * MIB;
}

export function positive(value: string): number {
  const number = Number(value);
  if (!(number > 0 && number < 1e6)) throw new InvalidArgumentError('Give a number above 0.');
  return number;
}

/** How it ended. */
export interface LiveEnd {
  readonly denied: number;
  readonly hasErrors: boolean;
}

/**
 * Starts, shows what comes, and ends on Ctrl-C.
 * @throws UnavailableError where nothing can be captured
 */
export async function runLive(
  flags: LiveFlags,
  start: (cluster: WholeCluster, onChange: (change: CaptureChange) => void) => Promise<LiveTraffic>,
): Promise<LiveEnd> {
  const interrupted = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  const followed = await followCluster(flags, nodesOf(flags));
  const { cluster, input } = followed;
  const traffic = await startOrExplain(() => start(cluster, tell));
  for (const change of traffic.closed) tell(change);
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
  await traffic.stop();
  if (failure instanceof Error) throw failure;
  return { denied, hasErrors: input.hasErrors };
}

/** 0 or, of manifests with errors, 2. */
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

function tell({ interface: name, closed }: CaptureChange): void {
  process.stderr.write(closed === undefined ? `${name} is captured.\n` : `${name} is not captured: ${closed}\n`);
}

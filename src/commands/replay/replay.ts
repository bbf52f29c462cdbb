/** `podfence replay`: what the policies say about a recorded capture. */

import type { Command } from 'commander';
import { jsonText } from '../../cluster/printable.ts';
import { MALFORMED, REASONS } from '../../filter/reasons.ts';
import { VERDICTS } from '../../filter/verdict.ts';
import type { FlowLine } from '../../flows/flow.ts';
import { FlowDescription } from '../../flows/flow-description.ts';
import { FlowTotals } from '../../flows/flow-totals.ts';
import { packetEvent } from '../../flows/packet-event.ts';
import { LINK_TYPES } from '../../frames/link-frame.ts';
import type { CaptureEnd } from '../../replay/capture-file.ts';
import { CaptureFileError } from '../../replay/capture-format.ts';
import { CaptureWriteError, type CaptureWriter } from '../../replay/capture-writer.ts';
import { Replay, type ReplayCounts } from '../../replay/replay.ts';
import { WholeCluster } from '../../traffic/whole-cluster.ts';
import { type ClusterInputFlags, readClusterInput, withClusterInput } from '../shared/cluster-input.ts';
import { ExitCode, InputError } from '../shared/exit-code.ts';
import { FlowListing } from '../shared/flow-listing.ts';
import { type NodeFlags, nodesOf, withNodes } from '../shared/node-addresses.ts';
import { policyTable } from '../shared/policy-totals.ts';
import { tell } from '../shared/tell.ts';
import { checkCaptures, nameOf, openWriter } from './files.ts';

const HELP = `
Judges every packet by the policies as they are now, and by the packet's own time. Reads pcap and
pcapng files of Ethernet (with VLAN tags), raw IP, Linux cooked, NFLOG and loopback; "-" is standard
input. Files may be of any length, and packets may be cut: the headers decide.

Pods are known by their addresses, so the manifests must be those of the running cluster:
  kubectl get namespaces,pods,services,networkpolicies -A -o yaml > cluster.yaml
A connection that was open before the capture began is judged in whichever direction a policy allows
it (reason: adopted). Packets to a Service's address are left out: they are judged where the capture
shows them with the backend's address, as on an interface of the node or the backend.

One line per flow, as in podfence flows. COUNT counts flows: packets that follow a denied one in its
flow are denied with it. With --json, one line per flow in the same shape, and last
  {"summary":{"packets":…,"denied":…,"reasons":{…},"policies":[{"policy":"shop/db","allowed":12,"denied":3}],…}}

Ctrl-C ends the command and shows the result so far.

Exit code: 0, or with --check 1 if anything is denied; 2 for wrong arguments, manifests with errors,
or a file that is not a capture or is damaged; 130 if Ctrl-C cut a file off.`;

/** Most lines held until the end. Beyond that the oldest are printed early. */
const MOST_LINES = 50_000;
/** How many of those are printed together. */
const TOGETHER = 1000;

interface Flags extends ClusterInputFlags, NodeFlags {
  readonly verdict?: string;
  readonly json?: true;
  readonly check?: true;
  readonly writeDenied?: string;
}

export function register(program: Command): void {
  withNodes(
    withClusterInput(
      program
        .command('replay')
        .description('Judge the packets of recorded captures by NetworkPolicies.')
        .argument('<file...>', 'pcap or pcapng files, in their order of time; - is standard input'),
    ),
  )
    .option('--verdict <verdict>', 'only show flows with this verdict: allow, deny or would_deny')
    .option('--json', 'one line of JSON per flow, and nothing else, on standard output')
    .option('--write-denied <file>', 'write the denied packets to this file (pcapng)')
    .option('--check', 'exit with 1 if anything is denied')
    .addHelpText('after', HELP)
    .action(async (files: string[], flags: Flags) => {
      process.exitCode = await replay(files, flags);
    });
}

/** @returns the exit code. */
async function replay(files: readonly string[], flags: Flags): Promise<number> {
  const { verdict, json } = flags;
  if (verdict !== undefined && !VERDICTS.some((each) => each === verdict)) {
    throw new InputError(`--verdict is allow, deny or would_deny, not ${JSON.stringify(verdict)}`);
  }
  checkCaptures(files, flags.manifests);
  const input = await readClusterInput(flags);
  const cluster = new WholeCluster(input.snapshot, input.services, nodesOf(flags));
  const description = new FlowDescription({
    attribution: cluster.attribution,
    endAt: (address) => cluster.endAt(address),
    isHere: () => true,
  });
  let podsSeen = false;
  let interrupted = false;
  const print = json ? printJson : tablePrinter();
  const show = (lines: readonly FlowLine[]) => {
    podsSeen ||= lines.some(({ from, to }) => from.kind === 'pod' || to.kind === 'pod');
    const wanted = lines.filter((line) => verdict === undefined || line.verdict === verdict);
    if (wanted.length > 0) print(wanted);
  };
  const gone: FlowLine[] = [];
  const totals = new FlowTotals(
    (event) => description.sighting(event),
    MOST_LINES,
    (line) => {
      gone.push(line);
      if (gone.length === TOGETHER) show(gone.splice(0));
    },
  );
  const writer = flags.writeDenied === undefined ? undefined : openWriter(flags.writeDenied, files);
  const { table, places } = cluster.compile();
  const recording = new Replay({
    ...{ table, places },
    tell: (packet, reason, direction, audited, reversed, time) =>
      totals.note(packetEvent(packet, reason, direction, audited, reversed), time),
    ...(writer === undefined ? {} : { denied: writer.write }),
  });
  // A live capture on standard input ends on the same Ctrl-C. A second Ctrl-C ends this process.
  process.once('SIGINT', () => {
    interrupted = true;
  });
  let isDamaged = false;
  for (const file of files) {
    if (interrupted) break;
    const { incomplete } = await read(recording, file, () => interrupted && file !== '-');
    if (incomplete !== undefined) tell(`${nameOf(file)} is ${incomplete.reason} ${incomplete.message}\n`);
    isDamaged ||= incomplete?.reason === 'damaged';
  }
  close(writer);
  show([...gone, ...totals.lines()]);
  const counts = recording.counts();
  if (json) printSummaryJson(counts, totals);
  else process.stdout.write(summary(counts, totals));
  for (const note of notes(counts, podsSeen)) tell(`${note}\n`);
  if (writer !== undefined) tell(`${flags.writeDenied}: ${number(writer.packets)} denied packets\n`);
  if (isDamaged || input.hasErrors) return ExitCode.badInput;
  if (interrupted && !files.includes('-')) return ExitCode.interrupted;
  return flags.check && counts.denied > 0 ? ExitCode.differs : ExitCode.ok;
}

/**
 * @throws InputError if the file is not a capture or cannot be read, or denied packets cannot be
 * written
 */
async function read(recording: Replay, file: string, isOver: () => boolean): Promise<CaptureEnd> {
  try {
    return await recording.read(file, isOver);
  } catch (error) {
    if (error instanceof CaptureFileError) throw new InputError(`${nameOf(file)} is not a capture: ${error.message}`);
    if (error instanceof CaptureWriteError) throw new InputError(`--write-denied: ${error.message}`);
    const { syscall, message } = error as NodeJS.ErrnoException;
    throw syscall === undefined ? error : new InputError(`${nameOf(file)}: ${message}`);
  }
}

/** @throws InputError if not everything could be written */
function close(writer: CaptureWriter | undefined): void {
  try {
    writer?.close();
  } catch (error) {
    throw new InputError(`--write-denied: ${(error as Error).message}`);
  }
}

function tablePrinter(): (lines: readonly FlowLine[]) => void {
  const table = new FlowListing(process.stdout);
  return (lines) => table.add(lines);
}

function printJson(lines: readonly FlowLine[]): void {
  process.stdout.write(lines.map((line) => `${jsonText(line)}\n`).join(''));
}

function printSummaryJson(counts: ReplayCounts, totals: FlowTotals): void {
  const { packets, denied, wouldBeDenied, notIp, services, fragments } = counts;
  const times = { first: iso(counts.first), last: iso(counts.last) };
  const left = { notIp, services, fragments, unknownLinks: Object.fromEntries(counts.unknownLinks) };
  const summary = {
    packets,
    denied,
    wouldBeDenied,
    ...times,
    reasons: reasonsOf(counts),
    ...left,
    policies: totals.policies(),
  };
  process.stdout.write(`${jsonText({ summary })}\n`);
}

function iso(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}

/** Returns the packets by reason; only reasons that occurred. */
function reasonsOf({ byReason }: ReplayCounts): Readonly<Record<string, number>> {
  return Object.fromEntries(
    REASONS.map((name, i) => [name, byReason[i] ?? 0] as const).filter(([, count]) => count > 0),
  );
}

function summary(counts: ReplayCounts, totals: FlowTotals): string {
  const { packets, denied, wouldBeDenied, first, last } = counts;
  const reasons = Object.entries(reasonsOf(counts)).map(([name, count]) => `${name} ${number(count)}`);
  const time = first === undefined || last === undefined ? '' : ` in ${((last - first) / 1000).toFixed(1)} s`;
  const policies = policyTable(totals.policies());
  return [
    policies === '' ? '' : `\n${policies}`,
    `\n${number(packets)} packets${time}, ${number(denied)} of them denied`,
    wouldBeDenied === 0 ? '' : `, ${number(wouldBeDenied)} would be by audited policies`,
    reasons.length === 0 ? '\n' : `: ${reasons.join(', ')}\n`,
  ].join('');
}

/** Says what was left out, and why that may be. */
function notes(counts: ReplayCounts, podsSeen: boolean): string[] {
  const { packets, notIp, services, fragments, unknownLinks, byReason } = counts;
  const said = [
    [notIp, 'are not IP'],
    [
      services,
      'are from or to the address of a Service: they are judged where they appear with the address of its backend',
    ],
    [fragments, 'are fragments without their first fragment before them in the capture'],
    [byReason[MALFORMED] ?? 0, 'could not be decoded: they are damaged, or were cut before the end of their headers'],
  ] as const;
  const lines = said.flatMap(([count, words]) => (count > 0 ? `${number(count)} packets ${words}.` : []));
  for (const [type, count] of unknownLinks) {
    lines.push(
      `${number(count)} packets are of link type ${type}, which podfence does not read. It reads: ${linkTypes()}.`,
    );
  }
  if (packets > 0 && !podsSeen) {
    lines.push(
      'No packet is from or to a pod of the manifests. Pods are known by status.podIP: give the objects of the running cluster (kubectl get … -o yaml), or --kubeconfig.',
    );
  }
  return lines;
}

function linkTypes(): string {
  return [...new Set(LINK_TYPES.values())].join(', ');
}

function number(value: number): string {
  return value.toLocaleString('en');
}

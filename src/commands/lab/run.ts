/** `podfence lab run`. */
import { jsonText } from '../../cluster/printable.ts';
import { Lab, type LabOptions, type ProbeResult } from '../../lab/lab.ts';
import { renderMatrix } from '../../lab/matrix.ts';
import type { WireCounters } from '../../lab/node-wire.ts';
import { paint, showsColour } from '../../lab/paint.ts';
import { ExitCode, InputError } from '../shared/exit-code.ts';
import { ProgressLine } from '../shared/progress.ts';
import { exitOnSignals } from '../shared/signals.ts';
import { tell } from '../shared/tell.ts';
import { type LabInputFlags, readLabArguments, requireRoot } from './input.ts';

/** Characters per line without a terminal. */
const PLAIN_WIDTH = 160;
const MOST_LISTED = 40;

type Capture = NonNullable<LabOptions['capture']>;

/** @returns the exit code. */
export async function labRun(
  flags: LabInputFlags & { readonly json?: true; readonly capture: Capture },
): Promise<number> {
  requireRoot();
  if (flags.capture === 'wire' && flags.deny === 'reject') {
    throw new InputError('--capture wire drops what is denied: --deny reject needs --capture queue');
  }
  const { manifests, hasErrors, ...options } = await readLabArguments(flags);
  const progress = new ProgressLine();
  exitOnSignals(progress);
  const { capture } = flags;
  const lab = await Lab.start({ ...options, manifests, capture, onProgress: (step) => progress.show(step) });
  try {
    const results = await lab.probe();
    const work = capture === 'wire' ? await wireWork(lab) : await agentWork(lab);
    progress.clear();
    for (const note of lab.notes) tell(`${note}.\n`);
    if (flags.json) printJson(results);
    else printTable(results);
    (flags.json ? process.stderr : process.stdout).write(summary(results, work));
    if (results.some(differs)) return ExitCode.differs;
    return hasErrors ? ExitCode.badInput : ExitCode.ok;
  } finally {
    progress.clear();
    await lab.stop();
  }
}

function differs({ expected, observed }: ProbeResult): boolean {
  return expected !== observed;
}

function printJson(results: readonly ProbeResult[]): void {
  process.stdout.write(results.map((result) => `${jsonText(result)}\n`).join(''));
}

function printTable(results: readonly ProbeResult[]): void {
  const { stdout } = process;
  stdout.write(`${renderMatrix(results, { width: stdout.columns ?? PLAIN_WIDTH, colour: showsColour(stdout) })}\n`);
}

/** Says what the agents did for the probes. */
async function agentWork(lab: Lab): Promise<string> {
  const counters = [...(await lab.counters()).values()];
  const judged = counters.reduce((sum, each) => sum + each.judged, 0);
  const offloaded = counters.reduce((sum, each) => sum + each.offloaded, 0);
  return `${judged} packets judged, ${offloaded} flows handed on to the kernel`;
}

async function wireWork(lab: Lab): Promise<string> {
  const counters = [...(await lab.wireCounters()).values()];
  const total = (name: keyof WireCounters) => counters.reduce((sum, each) => sum + each[name], 0);
  return `${total('captured')} frames captured, ${total('sent')} sent on, ${total('lost')} lost`;
}

function summary(results: readonly ProbeResult[], work: string): string {
  const wrong = results.filter(differs);
  const listed = wrong.slice(0, MOST_LISTED).map(describe);
  if (wrong.length > listed.length) listed.push(`… and ${wrong.length - listed.length} more; --json lists all`);
  const verdict = `${results.length - wrong.length} of ${results.length} probes as the policies say`;
  return [...listed, work, paint(verdict, wrong.length > 0 ? 'red' : 'bold', showsColour(process.stdout)), ''].join(
    '\n',
  );
}

function describe({ from, to, port, protocol, expected, observed, via, pod, address, detail }: ProbeResult): string {
  const through = via === 'pod' ? '' : ` by ${pod}`;
  return `${from} -> ${to} ${protocol} ${port}${through} (${address}): expected ${expected}, observed ${observed}: ${detail}`;
}

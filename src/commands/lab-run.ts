/** `podfence lab run`. */
import type { AgentCounters } from '../agent/counters.ts';
import { Lab, type ProbeResult } from '../lab/lab.ts';
import { renderMatrix } from '../lab/matrix.ts';
import { paint, showsColour } from '../lab/paint.ts';
import { ExitCode } from './exit-code.ts';
import { hasErrors, type LabInputFlags, readLabArguments, requireRoot } from './lab-input.ts';
import { ProgressLine } from './progress.ts';
import { exitOnSignals } from './signals.ts';

/** Characters a line where the output goes to no terminal. */
const PLAIN_WIDTH = 160;
const MOST_LISTED = 40;

/** @returns the exit code. */
export async function labRun(flags: LabInputFlags & { readonly json?: true }): Promise<number> {
  requireRoot();
  const { manifests, ...options } = await readLabArguments(flags);
  const progress = new ProgressLine();
  exitOnSignals(progress);
  const lab = await Lab.start({ ...options, manifests, onProgress: (step) => progress.show(step) });
  try {
    const results = await lab.probe();
    const counters = await lab.counters();
    progress.clear();
    for (const note of lab.notes) process.stderr.write(`${note}.\n`);
    if (flags.json) printJson(results);
    else printTable(results);
    (flags.json ? process.stderr : process.stdout).write(summary(results, [...counters.values()]));
    if (results.some(differs)) return ExitCode.differs;
    return hasErrors(manifests) ? ExitCode.badInput : ExitCode.ok;
  } finally {
    progress.clear();
    await lab.stop();
  }
}

function differs({ expected, observed }: ProbeResult): boolean {
  return expected !== observed;
}

function printJson(results: readonly ProbeResult[]): void {
  process.stdout.write(results.map((result) => `${JSON.stringify(result)}\n`).join(''));
}

function printTable(results: readonly ProbeResult[]): void {
  const { stdout } = process;
  stdout.write(`${renderMatrix(results, { width: stdout.columns ?? PLAIN_WIDTH, colour: showsColour(stdout) })}\n`);
}

function summary(results: readonly ProbeResult[], counters: readonly AgentCounters[]): string {
  const wrong = results.filter(differs);
  const listed = wrong.slice(0, MOST_LISTED).map(describe);
  if (wrong.length > listed.length) listed.push(`… and ${wrong.length - listed.length} more; --json lists all`);
  const judged = counters.reduce((sum, each) => sum + each.judged, 0);
  const offloaded = counters.reduce((sum, each) => sum + each.offloaded, 0);
  const verdict = `${results.length - wrong.length} of ${results.length} probes as the policies say`;
  return [
    ...listed,
    `${judged} packets judged, ${offloaded} flows handed on to the kernel`,
    paint(verdict, wrong.length > 0 ? 'red' : 'bold', showsColour(process.stdout)),
    '',
  ].join('\n');
}

function describe({ from, to, port, protocol, expected, observed, via, pod, address, detail }: ProbeResult): string {
  const through = via === 'pod' ? '' : ` by ${pod}`;
  return `${from} -> ${to} ${protocol} ${port}${through} (${address}): expected ${expected}, observed ${observed}: ${detail}`;
}

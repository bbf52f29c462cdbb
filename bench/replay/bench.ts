/**
 * `npm run bench replay`: recorded captures, from the file to the summary, by the command as users
 * run it.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench, BenchContext } from '../harness/bench.ts';
import { bars } from '../harness/panels.ts';
import { linux, requirement } from '../harness/requirements.ts';
import { type MeasuredRow, row } from '../harness/result.ts';
import { MANIFESTS, type Mix, record } from './recording.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const MIXES: readonly Mix[] = ['connections', 'denied', 'open'];
/** Bytes of a packet. */
const LENGTH = 100;

interface Parameters {
  readonly packets: number;
  /** Length of a second file as a multiple of the first, to compare the memory that both take. */
  readonly longer: number;
  readonly rounds: number;
}

const PARAMETERS: Parameters = { packets: 4_000_000, longer: 4, rounds: 5 };
const QUICK: Parameters = { packets: 500_000, longer: 2, rounds: 1 };

export const bench: Bench = {
  obstacle: () => requirement(linux),
  async run(context) {
    const parameters = context.quick ? QUICK : PARAMETERS;
    const folder = mkdtempSync(join(tmpdir(), 'podfence-bench-replay-'));
    try {
      writeFileSync(join(folder, 'cluster.yaml'), MANIFESTS);
      return { parameters: { ...parameters, length: LENGTH }, rows: await measure(context, parameters, folder) };
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  panels: ({ rows }) => [
    bars(
      'Packets of a capture in a second',
      rows.filter(({ unit }) => unit === 'packets/s'),
    ),
    bars(
      'Memory of the process at its peak',
      rows.filter(({ unit }) => unit === 'bytes'),
    ),
  ],
};

async function measure(
  { progress, signal }: BenchContext,
  { packets, longer, rounds }: Parameters,
  folder: string,
): Promise<MeasuredRow[]> {
  const rows: MeasuredRow[] = [];
  for (const [i, mix] of MIXES.entries()) {
    const path = join(folder, `${mix}.pcapng`);
    record(path, mix, packets, LENGTH);
    const empty = join(folder, 'empty.pcapng');
    record(empty, mix, 0, LENGTH);
    const rates: number[] = [];
    for (let round = 0; round < rounds; round++) {
      signal.throwIfAborted();
      progress(`${mix}, round ${round + 1}`, i + 1, MIXES.length);
      // Starting and reading the manifests is not part of reading the file.
      const start = await replay(folder, empty, signal);
      const whole = await replay(folder, path, signal);
      rates.push(packets / (whole.seconds - start.seconds));
    }
    rows.push(row(`packets/s, ${mix}`, 'packets/s', rates));
    rmSync(path);
  }
  for (const [name, count] of [
    ['peak memory', packets],
    [`peak memory, a file ${longer} times as long`, longer * packets],
  ] as const) {
    const path = join(folder, 'long.pcapng');
    record(path, 'connections', count, LENGTH);
    progress(`memory, ${Math.round(statSync(path).size / 1e6)} MB`);
    rows.push(row(name, 'bytes', [(await replay(folder, path, signal)).peak]));
    rmSync(path);
  }
  return rows;
}

interface Run {
  readonly seconds: number;
  /** Peak memory of the process in bytes (VmHWM). */
  readonly peak: number;
}

async function replay(folder: string, path: string, signal: AbortSignal): Promise<Run> {
  const before = performance.now();
  const args = [CLI, 'replay', path, '--manifests', join(folder, 'cluster.yaml'), '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'ignore'], signal });
  let peak = 0;
  const sampling = setInterval(() => {
    peak = Math.max(peak, peakOf(child.pid));
  }, 20);
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', (error) => reject(signal.aborted ? signal.reason : error));
      child.once('close', (code) => {
        if (code === 0) resolve();
        else reject(new Error(`podfence replay ended with ${code}`));
      });
    });
  } finally {
    clearInterval(sampling);
  }
  return { seconds: (performance.now() - before) / 1000, peak };
}

function peakOf(pid: number | undefined): number {
  try {
    return 1024 * Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

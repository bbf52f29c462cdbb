/**
 * `podfence canary-pod`: the program that `podfence canary` runs in its pods. Users do not type it.
 */
import type { Command } from 'commander';
import { PodProgram } from '../canary/pod-program.ts';
import type { PodTask } from '../canary/report-line.ts';
import { InputError } from './shared/exit-code.ts';

export function register(program: Command): void {
  program
    .command('canary-pod', { hidden: true })
    .description('Probe what podfence canary asks for. That command starts it, in its pods.')
    .argument('<task>', 'JSON')
    .action(async (text: string) => {
      // The first process of a container ignores a signal unless it handles it.
      process.on('SIGTERM', () => process.exit(0));
      const pod = new PodProgram(readTask(text), (line) => process.stdout.write(`${JSON.stringify(line)}\n`));
      await pod.start();
    });
}

function readTask(text: string): PodTask {
  try {
    const task = JSON.parse(text) as PodTask;
    if (Array.isArray(task.targets)) return task;
  } catch {}
  throw new InputError(
    'the task does not come from podfence canary. Do the command and its image have the same version?',
  );
}

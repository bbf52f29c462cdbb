/** `podfence canary-pod`: what `podfence canary` runs in its pods. Nobody types it. */
import type { Command } from 'commander';
import { PodProgram } from '../canary/pod-program.ts';
import type { PodTask } from '../canary/report-line.ts';
import { InputError } from './shared/exit-code.ts';

export function register(program: Command): void {
  program
    .command('canary-pod', { hidden: true })
    .description('Probe what podfence canary asks for. It is started by that command, in its pods.')
    .argument('<task>', 'JSON')
    .action(async (text: string) => {
      // The first process of a container ends on a signal only if it takes it.
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
    'the task is not one that podfence canary gives. Do the command and its image have one version?',
  );
}

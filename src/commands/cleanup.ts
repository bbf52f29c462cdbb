/** `podfence cleanup`: removes everything that podfence ever installed in the kernel. */
import type { Command } from 'commander';
import { refuseReadersOfRules } from '../agent/other-agents.ts';
import { eachKernelFlow, type KernelFlowKey, keyOf, setMarks } from '../dataplane/ctnetlink/kernel-flows.ts';
import { removeSpoofing } from '../dataplane/spoofing/spoofing-guard.ts';
import { removeEverything } from '../dataplane/steering/leftovers.ts';
import { findPredecessor, type Predecessor } from '../dataplane/steering/predecessor.ts';
import { system } from '../dataplane/steering/run.ts';
import { markOption } from './agent/options.ts';
import { ExitCode } from './shared/exit-code.ts';
import { requireRootOnLinux } from './shared/machine.ts';

const HELP = `
Stop the agent first: a running agent restores what is missing.

Rules, chains and sets are found by their names, connections only by their mark. If the agent ran
with a --mark-mask of its own, give the same one. If that changed while connections were open, run
cleanup once with each.`;

export function register(program: Command): void {
  program
    .command('cleanup')
    .description(
      'Remove every rule, chain, set and connection mark that podfence installed. Nothing is enforced any more.',
    )
    .addOption(markOption())
    .addHelpText('after', HELP)
    .option('--force', 'also if a process reads the queues that the rules name')
    .action(async ({ markMask, force }) => {
      requireRootOnLinux('cleanup');
      if (!force) refuseReadersOfRules(system(), await foundRules());
      const removals = await Promise.allSettled([removeEverything(system()), removeSpoofing(system())]);
      for (const removal of removals) if (removal.status === 'rejected') throw removal.reason;
      const marked: KernelFlowKey[] = [];
      await eachKernelFlow((flow) => marked.push(keyOf(flow)), { mask: markMask.judged, value: markMask.judged });
      await setMarks(marked, markMask.judged, 0);
      process.stdout.write(`Removed podfence from this node's kernel; ${marked.length} connections lost its mark.\n`);
      process.exitCode = ExitCode.ok;
    });
}

/**
 * Returns undefined if the rules cannot be read. `removeEverything` then reports why, and removes
 * the rest.
 */
async function foundRules(): Promise<Predecessor | undefined> {
  return await findPredecessor(system()).catch(() => undefined);
}

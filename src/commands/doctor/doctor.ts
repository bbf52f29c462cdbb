/** `podfence doctor`: can this node, or this cluster, enforce? */
import { hostname } from 'node:os';
import type { Command } from 'commander';
import { system } from '../../dataplane/steering/run.ts';
import { mergeNodes, type NodesFinding } from '../../doctor/finding.ts';
import { nodeFindings } from '../../doctor/node.ts';
import { showsColour } from '../../lab/paint.ts';
import { wholeNode } from '../../machine/node-facts.ts';
import { ExitCode } from '../exit-code.ts';
import { requireRootOnLinux } from '../machine.ts';
import { reportText } from './report.ts';

interface DoctorFlags {
  readonly json?: true;
  readonly nodeRun?: string;
}

export function register(program: Command): void {
  program
    .command('doctor')
    .description('Say whether this node can enforce.')
    .option('--json', 'print one JSON document instead of the report')
    .action(async (flags: DoctorFlags) => {
      requireRootOnLinux('doctor on a node', 'it tries what the kernel can; for a cluster give --kubeconfig');
      const facts = await wholeNode({ system: system(), run: flags.nodeRun });
      const findings = mergeNodes([[hostname(), nodeFindings(facts)]]);
      print(findings, 1, flags);
    });
}

function print(findings: readonly NodesFinding[], nodes: number, { json }: DoctorFlags): void {
  const text = json
    ? JSON.stringify({ findings }, undefined, 2)
    : reportText(findings, {
        width: Number(process.env.COLUMNS) || process.stdout.columns || 100,
        colour: showsColour(process.stdout),
        nodes,
      });
  process.stdout.write(`${text}\n`);
  process.exitCode = findings.some(({ severity }) => severity === 'problem') ? ExitCode.differs : ExitCode.ok;
}

/** `podfence lint`: mistakes in policies, found in their manifests. */

import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type Command, Option } from 'commander';
import { jsonText, printable } from '../../cluster/printable.ts';
import { showsColour } from '../../lab/paint.ts';
import type { Finding } from '../../lint/finding.ts';
import { type LintResult, lint } from '../../lint/lint.ts';
import { SEVERITIES, type Severity } from '../../lint/rules.ts';
import { type LoadedManifests, loadManifests } from '../../manifests/load.ts';
import { fileTitle } from '../../manifests/problems.ts';
import { collect, collectRange } from '../shared/cluster-input.ts';
import { ExitCode, InputError } from '../shared/exit-code.ts';
import { tell } from '../shared/tell.ts';
import { type Correction, type FailedFile, fixedFileText, fixedText, fixFiles } from './fix.ts';
import { countFindings, findingText, summaryText } from './report.ts';
import { sarifLog } from './sarif.ts';

interface LintFlags {
  readonly manifests?: readonly string[];
  readonly json?: true;
  readonly sarif?: true;
  readonly fix?: true;
  readonly info?: true;
  readonly failOn: Severity | 'never';
  readonly podRange?: readonly string[];
}

const HELP = `
Reads files, folders and - (standard input), YAML or JSON, as the other commands do. For each
mistake in a policy it says where it is, what is wrong, and what was probably meant. It prints
nothing if there are no mistakes.

Severities: error (the API server refuses it, or the policy fails closed), warning (it does not do
what it says), hint (probably not what was meant), info (worth knowing; with --info only).

--fix corrects in the files themselves what can be meant in only one way (a misspelt field, a field
that is indented too little or too far, quotes), and leaves every other character as it is. For - it
prints the corrected text.

An annotation on a NetworkPolicy or Namespace switches rules off for it, by code or name:
  podfence.io/lint-ignore: "PF303, shadowed-rule"

With --json, one object: {"findings":[{"code","rule","severity","file","line","column","object","field","message","hint"?,"note"?,"fix"?}],
"fixed":[…],"notes":[…],"counts":{"error","warning","hint","info"}}. With --sarif, a SARIF 2.1.0 log.

Exit code: 0 if nothing is wrong, 1 if there are errors or warnings (see --fail-on), 2 if a file or
a document cannot be read (PF100), or a file cannot be written.

Examples:
  podfence lint k8s/
  helm template shop ./chart | podfence lint -
  podfence lint --sarif k8s/ > podfence.sarif`;

export function register(program: Command): void {
  program
    .command('lint')
    .description(
      'Find mistakes in NetworkPolicies: wrong fields, selectors that match nothing, ports that no pod has, rules without effect.',
    )
    .argument('[paths...]', 'files or folders with manifests, or - for standard input')
    .option('-m, --manifests <path>', 'the same as an argument; repeatable', collect)
    .addOption(new Option('--json', 'one JSON object on standard output').conflicts('sarif'))
    .option('--sarif', 'a SARIF 2.1.0 log on standard output')
    .option('--fix', 'correct what is certain, in the files themselves')
    .option('--info', 'also show what is worth knowing but not a mistake')
    .addOption(
      new Option('--fail-on <severity>', 'exit with 1 from this severity on')
        .choices([...SEVERITIES, 'never'])
        .default('warning'),
    )
    .option('--pod-range <cidr>', 'address range of pods (default: 10.244.0.0/16 is assumed); repeatable', collectRange)
    .addHelpText('after', HELP)
    .action(async (paths: readonly string[], flags: LintFlags) => {
      process.exitCode = await runLint([...paths, ...(flags.manifests ?? [])], flags, program.version() ?? '');
    });
}

/** @returns the exit code. */
async function runLint(paths: readonly string[], flags: LintFlags, version: string): Promise<number> {
  if (paths.length === 0) throw new InputError('lint: give files or folders with manifests, or - for standard input');
  const printsText = flags.fix === true && paths.includes('-');
  if (printsText && (flags.json || flags.sarif)) {
    throw new InputError(
      'lint: --fix prints the corrected text of standard input, so --json and --sarif cannot be printed too',
    );
  }
  let stdin = paths.includes('-') ? await buffer(process.stdin) : Buffer.alloc(0);
  const load = () => loadForLint(paths, stdin);
  let manifests = await load();
  const fixed: Correction[] = [];
  let failed: readonly FailedFile[] = [];
  const report = printsText ? process.stderr : process.stdout;
  if (flags.fix) {
    const outcome = await fixFiles(manifests.problems);
    const files = [...outcome.fixed];
    failed = outcome.failed;
    if (printsText && isText(stdin)) {
      const input = await fixedText('-', stdin.toString());
      stdin = Buffer.from(input.after);
      if (input.corrections.length > 0) files.push(input);
    }
    if (printsText) process.stdout.write(stdin);
    fixed.push(...files.flatMap(({ corrections }) => corrections));
    if (!flags.json && !flags.sarif) report.write(files.map((file) => `${fixedFileText(file)}\n`).join(''));
    if (files.length > 0) manifests = await load();
  }
  const { podRange } = flags;
  const result = lint({ ...manifests, ...(podRange === undefined ? {} : { podRanges: podRange }) });
  const shown = result.findings.filter(({ severity }) => flags.info || severity !== 'info');
  if (flags.json) printJson(shown, fixed, result);
  else if (flags.sarif) process.stdout.write(`${jsonText(sarifLog(shown, version), 2)}\n`);
  else printText(shown, result, report);
  for (const { file, reason } of failed) {
    tell(`${printable(`lint: ${fileTitle(file)} is not corrected, because it cannot be written: ${reason}`)}\n`);
  }
  return failed.length > 0 ? ExitCode.badInput : exitCode(result.findings, flags.failOn);
}

/** Loads at least one pod of every workload, even of one that has no replicas now. */
function loadForLint(paths: readonly string[], stdin: Buffer): Promise<LoadedManifests> {
  return loadManifests(paths, { minReplicas: 1, maxReplicas: 32, stdin: Readable.from([stdin]) });
}

/** Whether the bytes are UTF-8 text. Others would not survive the conversion to text and back. */
function isText(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString()).equals(bytes);
}

function printJson(findings: readonly Finding[], fixed: readonly Correction[], { notes }: LintResult): void {
  process.stdout.write(`${jsonText({ findings, fixed, notes, counts: countFindings(findings) }, 2)}\n`);
}

function printText(shown: readonly Finding[], { findings, notes }: LintResult, report: NodeJS.WriteStream): void {
  const colour = showsColour(report);
  for (const finding of shown) report.write(`${findingText(finding, colour)}\n`);
  const summary = summaryText(shown, findings.length - shown.length);
  if (summary !== '') report.write(`\n${summary}\n`);
  for (const note of notes) tell(`${note}\n`);
}

function exitCode(findings: readonly Finding[], failOn: Severity | 'never'): number {
  if (findings.some(({ rule }) => rule === 'unreadable')) return ExitCode.badInput;
  const graver = SEVERITIES.slice(0, SEVERITIES.indexOf(failOn as Severity) + 1);
  return findings.some(({ severity }) => graver.includes(severity)) ? ExitCode.differs : ExitCode.ok;
}

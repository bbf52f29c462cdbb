#!/usr/bin/env node
/** The command line. A command's code is loaded when it is used, so that each starts as fast as if it were the only one. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { documentationAddress } from './commands/shared/documentation.ts';
import { ExitCode, exitCodeOf, InputError, UnavailableError } from './commands/shared/exit-code.ts';
import { tell } from './commands/shared/tell.ts';

interface CommandEntry {
  /** Absent where nobody types the command: it is not listed. */
  readonly summary?: string;
  /** Its page of the documentation, and the heading where the page has other subjects too. */
  readonly page: readonly [file: string, anchor?: string];
  readonly load: () => Promise<{ register(program: Command): void }>;
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  agent: {
    summary: 'enforce the policies of a cluster on the pods of this node',
    page: ['settings.md'],
    load: () => import('./commands/agent/agent.ts'),
  },
  audit: {
    summary: 'listen on an interface and say what the policies would deny',
    page: ['audit.md', 'an-interface-without-touching-it'],
    load: () => import('./commands/audit.ts'),
  },
  canary: {
    summary: 'prove on a cluster that denied is denied and allowed is not, whoever enforces it',
    page: ['canary.md'],
    load: () => import('./commands/canary/canary.ts'),
  },
  'canary-pod': {
    page: ['canary.md'],
    load: () => import('./commands/canary-pod.ts'),
  },
  cleanup: {
    summary: 'remove everything that podfence installed in the kernel',
    page: ['cluster.md', 'removing'],
    load: () => import('./commands/cleanup.ts'),
  },
  demo: {
    summary: 'a three-tier application, real packets, and what its policies make of them',
    page: ['lab.md', 'the-demo'],
    load: () => import('./commands/demo/demo.ts'),
  },
  doctor: {
    summary: 'say whether this node, or this cluster, can enforce, and what to do where it cannot',
    page: ['doctor.md'],
    load: () => import('./commands/doctor/doctor.ts'),
  },
  explain: {
    summary: 'say why a flow is allowed or denied, and what would allow it',
    page: ['explain.md'],
    load: () => import('./commands/explain/explain.ts'),
  },
  flows: {
    summary: 'show what a running agent allows and denies, flow by flow',
    page: ['flows.md'],
    load: () => import('./commands/flows/flows.ts'),
  },
  lab: {
    summary: 'pods as network namespaces: probe what policies do, or play by hand',
    page: ['lab.md'],
    load: () => import('./commands/lab/lab.ts'),
  },
  lint: {
    summary: 'find mistakes in NetworkPolicies',
    page: ['lint.md'],
    load: () => import('./commands/lint/lint.ts'),
  },
  matrix: {
    summary: 'show who can reach whom, and check assertions about it',
    page: ['matrix.md'],
    load: () => import('./commands/matrix/matrix.ts'),
  },
  replay: {
    summary: 'judge the packets of a recorded capture',
    page: ['replay.md'],
    load: () => import('./commands/replay/replay.ts'),
  },
  wire: {
    summary: 'be the cable between two interfaces, and carry what the policies allow',
    page: ['wire.md'],
    load: () => import('./commands/wire.ts'),
  },
};

const program = new Command('podfence')
  .description('Enforces Kubernetes NetworkPolicy in userspace.')
  .version(version(), '--version', 'print the version')
  .helpCommand(false)
  // Unknown commands and options are repeated in what it says.
  .configureOutput({ writeErr: tell })
  .exitOverride();

const wanted = COMMANDS[process.argv[2] ?? ''];
if (wanted) {
  (await wanted.load()).register(program);
  for (const command of program.commands) linkToPage(command, documentationAddress(...wanted.page));
} else {
  linkToPage(program, documentationAddress('README.md'));
  for (const [name, { summary }] of Object.entries(COMMANDS)) {
    if (summary !== undefined) program.command(name).description(summary);
  }
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read our output has seen enough.
  if (error.code === 'EPIPE') process.exit(ExitCode.ok);
  throw error;
});

// What cannot be said, for the disk is full, must not end what runs.
process.stderr.on('error', () => {});

try {
  if (process.argv.length <= 2) program.help();
  await program.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}

/** Ends the help of a command, and of its subcommands, with the address of their page. */
function linkToPage(command: Command, address: string): void {
  command.addHelpText('after', `\nDocumentation: ${address}`);
  for (const subcommand of command.commands) linkToPage(subcommand, address);
}

/** Says what went wrong, and what to do about it, where it is not said yet; gives back the exit code. */
function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.badInput;
  tell(`podfence: ${error instanceof Error ? error.message : String(error)}\n`);
  const { hint } = error as { hint?: string };
  if (hint !== undefined) tell(`  ${hint}\n`);
  const isExpected = error instanceof InputError || error instanceof UnavailableError;
  if (!isExpected && process.env.PODFENCE_DEBUG) console.error(error);
  return exitCodeOf(error);
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

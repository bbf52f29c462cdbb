#!/usr/bin/env node
/**
 * The command line. It loads only the code of the command in use, so that each command starts fast.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { documentationAddress } from './commands/shared/documentation.ts';
import { ExitCode, exitCodeOf, InputError, UnavailableError } from './commands/shared/exit-code.ts';
import { tell } from './commands/shared/tell.ts';

interface CommandEntry {
  /** Absent for internal commands, which the help does not list. */
  readonly summary?: string;
  /** Its page of the documentation, and a heading if the page covers other subjects too. */
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
    summary: 'watch an interface and report what the policies would deny',
    page: ['audit.md', 'an-interface-without-touching-it'],
    load: () => import('./commands/audit.ts'),
  },
  canary: {
    summary: 'prove that a cluster enforces its policies, whichever enforcer it runs',
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
    summary: 'run a three-tier application and show what its policies do to real packets',
    page: ['lab.md', 'the-demo'],
    load: () => import('./commands/demo/demo.ts'),
  },
  doctor: {
    summary: 'check whether this node or cluster can enforce, and say how to fix what is missing',
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
    summary: 'run pods as network namespaces: probe policies, or experiment by hand',
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
    summary: 'forward frames between two interfaces, but only what the policies allow',
    page: ['wire.md'],
    load: () => import('./commands/wire.ts'),
  },
};

const program = new Command('podfence')
  .description('Enforces Kubernetes NetworkPolicy in userspace.')
  .version(version(), '--version', 'print the version')
  .helpCommand(false)
  // Error messages quote unknown commands and options; `tell` escapes control characters in them.
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
  // The reader of our output has closed the pipe.
  if (error.code === 'EPIPE') process.exit(ExitCode.ok);
  throw error;
});

// A message that cannot be written, for example to a full disk, must not end the process.
process.stderr.on('error', () => {});

try {
  if (process.argv.length <= 2) program.help();
  await program.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}

/** Appends the address of the documentation page to the help of a command and its subcommands. */
function linkToPage(command: Command, address: string): void {
  command.addHelpText('after', `\nDocumentation: ${address}`);
  for (const subcommand of command.commands) linkToPage(subcommand, address);
}

/**
 * Prints what went wrong and how to fix it, unless commander already has. Returns the exit code.
 */
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

/** `podfence lab up`. */
import { fork } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname, extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KeeperReply, KeepRequest } from '../../lab/keeper-messages.ts';
import { logPath, readStates } from '../../lab/state-file.ts';
import { ExitCode, InputError, UnavailableError } from '../shared/exit-code.ts';
import { ProgressLine } from '../shared/progress.ts';
import { tell } from '../shared/tell.ts';
import { type LabInputFlags, readLabArguments, requireRoot } from './input.ts';

const KEEPER = fileURLToPath(new URL(`../../lab/keeper-process${extname(import.meta.filename)}`, import.meta.url));

/** @returns the exit code. */
export async function labUp(flags: LabInputFlags & { readonly name: string }): Promise<number> {
  requireRoot();
  const { name } = flags;
  if (readStates().some((state) => state.name === name)) {
    throw new InputError(`a lab called ${name} is up already; podfence lab down ends it`);
  }
  const { manifests, hasErrors, ...options } = await readLabArguments(flags);
  const { snapshot, services } = manifests;
  const notes = await startKeeper({ name, options: { ...options, manifests: { snapshot, services } } });
  for (const note of notes) tell(`${note}.\n`);
  const pod = snapshot.pods.find(({ hostNetwork }) => !hostNetwork) ?? snapshot.pods[0];
  process.stdout.write(
    `Lab ${name} is up: ${snapshot.pods.length} pods on ${options.nodes.length} nodes. Every port answers with the name of its pod.\n` +
      '  podfence lab status                         what is where\n' +
      `  podfence lab exec ${pod?.namespace}/${pod?.name} -- bash   a shell in a pod\n` +
      '  podfence lab down                           end it\n',
  );
  return hasErrors ? ExitCode.badInput : ExitCode.ok;
}

/** Resolves with the lab's notes when it is up. The keeper outlives this process. */
async function startKeeper(request: KeepRequest): Promise<readonly string[]> {
  mkdirSync(dirname(logPath(request.name)), { recursive: true });
  const log = openSync(logPath(request.name), 'w', 0o600);
  const keeper = fork(KEEPER, {
    detached: true,
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  const progress = new ProgressLine();
  const interrupt = () => {
    keeper.kill('SIGKILL');
    process.exit(ExitCode.interrupted);
  };
  process.once('SIGINT', interrupt);
  try {
    return await new Promise((resolve, reject) => {
      keeper.on('message', (message: KeeperReply) => {
        if (message.type === 'progress') progress.show(message.progress);
        else if (message.type === 'up') resolve(message.notes);
        else reject(new UnavailableError(message.message));
      });
      keeper.on('error', reject);
      keeper.on('exit', (code, signal) => {
        reject(
          new UnavailableError(
            `the lab's keeper has ended (${signal ?? `exit code ${code}`}); see ${logPath(request.name)}`,
          ),
        );
      });
      keeper.send(request);
    });
  } finally {
    progress.clear();
    process.off('SIGINT', interrupt);
    keeper.unref();
  }
}

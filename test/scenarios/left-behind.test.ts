/**
 * A lab leaves nothing behind: no process, no network namespace, no file, no rule, however it ends.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { system } from '../../src/dataplane/steering/run.ts';
import { describeAsRoot } from '../root.ts';
import type { LabTraces } from './lab-process.ts';

const PROGRAM = fileURLToPath(new URL('./lab-process.ts', import.meta.url));
/** How long the kernel may take to end processes and namespaces, in ms. */
const PATIENCE = 10_000;

describeAsRoot('A lab leaves nothing behind', () => {
  let before: RootState;
  beforeAll(async () => {
    before = await rootState();
  });
  afterAll(async () => {
    expect(await rootState()).toEqual(before);
  });

  test('when it is stopped', async () => {
    using lab = await startLab();
    expect(remains(lab)).toContainEqual(expect.stringMatching(/^net:/));
    lab.child.send('stop');
    await once(lab.child, 'exit');
    await nothingRemains(lab);
  });

  test('when its process is killed', async () => {
    using lab = await startLab();
    lab.child.kill('SIGKILL');
    await once(lab.child, 'exit');
    await nothingRemains(lab);
  });

  test('when its process throws an uncaught error', async () => {
    using lab = await startLab();
    lab.child.send('throw');
    await once(lab.child, 'exit');
    await nothingRemains(lab);
  });
});

interface StartedLab extends Disposable {
  readonly child: ChildProcess;
  /** PIDs of its process and that process's children. */
  readonly processes: readonly number[];
  /** `net:[…]` */
  readonly namespaces: ReadonlySet<string>;
}

/**
 * Starts a lab and keeps its namespaces open: otherwise the kernel could reuse the number of an
 * ended one for a new namespace.
 */
async function startLab(): Promise<StartedLab> {
  const child = fork(PROGRAM, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], execArgv: [] });
  const [traces] = (await once(child, 'message')) as [LabTraces];
  const held = traces.namespaces.map((path) => openSync(path, 'r'));
  return {
    child,
    processes: [child.pid ?? 0, ...traces.processes],
    namespaces: new Set(held.map((fd) => readlinkSync(`/proc/self/fd/${fd}`))),
    [Symbol.dispose]: () => {
      for (const fd of held) closeSync(fd);
    },
  };
}

async function nothingRemains(lab: StartedLab): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (remains(lab).length > 0 && performance.now() < end) {
    // The kernel needs a moment to end them, and no event reports it.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(remains(lab)).toEqual([]);
}

/**
 * Returns what is left of a lab: processes, other processes that use one of its namespaces, files
 * about them.
 */
function remains({ processes, namespaces }: StartedLab): readonly string[] {
  const running = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return [
    ...running.filter((pid) => processes.includes(Number(pid))).map((pid) => `process ${pid}`),
    ...running.flatMap((pid) => {
      const held = heldNamespaces(pid).filter((namespace) => namespaces.has(namespace));
      return held.map((namespace) => `${namespace} held by ${pid}`);
    }),
    ...entries('/run/podfence').filter((file) => processes.some((pid) => textOf(file).includes(`"pid":${pid},`))),
  ];
}

/** Returns the network namespaces that a process is in or has open. */
function heldNamespaces(pid: string): readonly string[] {
  const paths = [...entries(`/proc/${pid}/fd`), ...entries(`/proc/${pid}/task`).map((task) => `${task}/ns/net`)];
  return paths.map(linkOf).filter((link) => link.startsWith('net:'));
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder).map((name) => `${folder}/${name}`);
  } catch {
    return []; // the process has ended
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // another lab's, gone meanwhile
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

interface RootState {
  readonly links: string;
  readonly mounts: string;
  readonly rules: readonly string[];
  readonly namedNamespaces: readonly string[];
}

/**
 * Returns everything that a lab could leave behind in the root namespace. Other labs leave nothing
 * there, either.
 */
async function rootState(): Promise<RootState> {
  const { run } = system();
  const rules = await Promise.all(
    ['iptables-save', 'ip6tables-save', 'ipset save', 'nft list ruleset'].map(async (line) => {
      const [command = '', ...args] = line.split(' ');
      const text = await run(command, args).catch((error: Error) => error.message);
      return text.replaceAll(/^#.*\n|\[\d+:\d+\]/gm, '');
    }),
  );
  return {
    links: await run('ip', ['-o', 'link']),
    mounts: readFileSync('/proc/self/mounts', 'utf8'),
    rules,
    namedNamespaces: entries('/run/netns'),
  };
}

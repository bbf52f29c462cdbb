/**
 * The labs that `lab up` keeps, and where their namespaces are. A file names the process that keeps
 * a lab, and is valid only while that process lives; the start time detects another process with
 * the same id.
 */
import { linkSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const DIRECTORY = '/run/podfence';

export interface KeptHost {
  readonly name: string;
  readonly kind: 'pod' | 'node' | 'external';
  readonly addresses: readonly string[];
  /** The node of a pod. */
  readonly node?: string;
  readonly ports: readonly { readonly protocol: string; readonly port: number }[];
  /** Descriptor of the namespace in the keeper. */
  readonly netns: number;
}

export interface KeptService {
  readonly name: string;
  readonly address: string;
  readonly protocol: string;
  readonly port: number;
  readonly nodePort?: number;
  readonly backends: number;
}

export interface LabState {
  readonly name: string;
  readonly pid: number;
  /** Start time of the keeper, in clock ticks since boot. */
  readonly startTime: string;
  readonly hosts: readonly KeptHost[];
  readonly services: readonly KeptService[];
}

/**
 * Returns when a process started (proc(5), field 22 of /proc/PID/stat), or undefined if it does not
 * run.
 */
export function processStartTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the name in parentheses, which may contain spaces and parentheses; the
    // third is the state.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie no longer runs, but its parent may never reap it.
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export function isKept({ pid, startTime }: Pick<LabState, 'pid' | 'startTime'>): boolean {
  return processStartTime(pid) === startTime;
}

/** Writes the file of a lab that is up. Returns false, and writes nothing, if the file exists. */
export function writeState(state: LabState, directory = DIRECTORY): boolean {
  mkdirSync(directory, { recursive: true });
  const draft = join(directory, `.lab-${state.name}.${state.pid}`);
  writeFileSync(draft, JSON.stringify(state), { mode: 0o600 });
  try {
    // Unlike a rename, a link fails if the name is taken, and no reader ever sees half a file.
    linkSync(draft, statePath(state.name, directory));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Returns the labs that are up. Removes the files of labs whose keepers are dead. */
export function readStates(directory = DIRECTORY): readonly LabState[] {
  const states: LabState[] = [];
  for (const file of readDirectory(directory)) {
    const name = /^lab-(.+)\.json$/.exec(file)?.[1];
    const state = name === undefined ? undefined : readState(join(directory, file), name);
    if (state === undefined) continue;
    if (isKept(state)) states.push(state);
    else removeState(state.name, directory);
  }
  return states;
}

export function removeState(name: string, directory = DIRECTORY): void {
  rmSync(statePath(name, directory), { force: true });
  rmSync(logPath(name, directory), { force: true });
  try {
    rmdirSync(directory);
  } catch {
    // Other labs have files there.
  }
}

/** Where the agents of a kept lab write their log. */
export function logPath(name: string, directory = DIRECTORY): string {
  return join(directory, `lab-${name}.log`);
}

function statePath(name: string, directory: string): string {
  return join(directory, `lab-${name}.json`);
}

function readDirectory(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Returns undefined if no lab wrote the file. */
function readState(path: string, name: string): LabState | undefined {
  try {
    const state = JSON.parse(readFileSync(path, 'utf8')) as Partial<LabState>;
    const ours = state.name === name && typeof state.pid === 'number' && typeof state.startTime === 'string';
    return ours && Array.isArray(state.hosts) && Array.isArray(state.services) ? (state as LabState) : undefined;
  } catch {
    return undefined;
  }
}

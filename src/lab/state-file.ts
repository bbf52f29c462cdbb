/**
 * Labs that stay: which are up, and where their namespaces are. A file says which process keeps a lab, and is believed only as long as
 * that very process lives; its start time tells it from another one with the same number.
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
  /** Of the keeper, in clock ticks after boot. */
  readonly startTime: string;
  readonly hosts: readonly KeptHost[];
  readonly services: readonly KeptService[];
}

/** When a process started (proc(5), field 22 of /proc/PID/stat), or undefined where there is none that lives. */
export function processStartTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the name in parentheses, which may hold spaces and parentheses itself; the third is the state.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie waits for a parent that may never ask.
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export function isKept({ pid, startTime }: Pick<LabState, 'pid' | 'startTime'>): boolean {
  return processStartTime(pid) === startTime;
}

/** Writes the file of a lab that is up. Gives back false, and writes nothing, where there is one already. */
export function writeState(state: LabState, directory = DIRECTORY): boolean {
  mkdirSync(directory, { recursive: true });
  const draft = join(directory, `.lab-${state.name}.${state.pid}`);
  writeFileSync(draft, JSON.stringify(state), { mode: 0o600 });
  try {
    // Unlike a rename, a link fails where the name is taken, and nobody ever reads half a file.
    linkSync(draft, statePath(state.name, directory));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The labs that are up. What labs left behind whose keepers are dead is removed, and nothing else. */
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
    // Others have files there.
  }
}

/** Where the agents of a lab that stays write what they have to say. */
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

/** Undefined for a file that no lab wrote. */
function readState(path: string, name: string): LabState | undefined {
  try {
    const state = JSON.parse(readFileSync(path, 'utf8')) as Partial<LabState>;
    const ours = state.name === name && typeof state.pid === 'number' && typeof state.startTime === 'string';
    return ours && Array.isArray(state.hosts) && Array.isArray(state.services) ? (state as LabState) : undefined;
  } catch {
    return undefined;
  }
}

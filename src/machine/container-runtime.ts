/** The container runtime of this node: its version and its NRI socket. */
import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import type { RuntimeFacts } from '../doctor/nri.ts';
import { processesNamed } from './processes.ts';

const NRI_SOCKET = 'nri/nri.sock';
/** On most systems the first is a link to the second. */
const RUN_FOLDERS = ['/var/run', '/run'];
const VERSION_LIMIT = 5000;

/**
 * Returns the runtime, and its NRI socket.
 * @param run where a pod mounts the node's /run; without it a pod cannot look for the socket
 */
export async function runtimeFacts({
  run,
  inPod = false,
}: {
  run?: string | undefined;
  inPod?: boolean;
} = {}): Promise<RuntimeFacts> {
  const folders = run === undefined ? RUN_FOLDERS : [run];
  const socket = folders.map((folder) => `${folder}/${NRI_SOCKET}`).find(isSocket);
  const runtime = await runningRuntime();
  const looked = !inPod || run !== undefined;
  return {
    ...(runtime !== undefined && { runtime }),
    // The path as the node sees it.
    ...(socket !== undefined
      ? { socket: run === undefined ? socket : `/var/run/${NRI_SOCKET}` }
      : looked && { socket: null }),
  };
}

function isSocket(path: string): boolean {
  return existsSync(path) && statSync(path).isSocket();
}

/** Asks the running process's own binary: the one on PATH may be another version. */
async function runningRuntime(): Promise<string | undefined> {
  const [pid] = processesNamed(['containerd', 'crio']);
  if (pid === undefined) return undefined;
  try {
    const { stdout } = await promisify(execFile)(`/proc/${pid}/exe`, ['--version'], { timeout: VERSION_LIMIT });
    // `containerd github.com/containerd/containerd/v2 v2.2.9 …`; `crio version 1.30.4`
    const version = /\bv?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1];
    if (version === undefined) return undefined;
    return `${stdout.startsWith('crio') ? 'cri-o' : 'containerd'}://${version}`;
  } catch {
    return undefined;
  }
}

/** Compares the agent's memory limit with what a cluster of this size needs. */
import { type Finding, finding } from './finding.ts';

export interface MemoryFacts {
  /** Bytes; undefined if there is no limit. */
  readonly limit: number | undefined;
  readonly pods: number;
  readonly policies: number;
}

const MIB = 1 << 20;
/**
 * MiB, from the measurements in daemonset/base/daemonset.yaml: the peak resident size of an agent
 * with 4 queues, 314 with 100 pods and 10 policies, 368 with 10,000 and 10,000, 506 with 100,000
 * and 10,000.
 */
const BASE = 314;
const PER_POD = (506 - 368) / 90_000;
const PER_POLICY = (368 - 314 - 9900 * PER_POD) / 9990;
/** A limit is tight below this factor of the need. */
const ROOM = 1.2;

/** Returns the bytes that an agent needs at most. */
export function memoryNeed(pods: number, policies: number): number {
  return Math.ceil(BASE + PER_POD * pods + PER_POLICY * policies) * MIB;
}

export function memoryLimit({ limit, pods, policies }: MemoryFacts): Finding {
  const need = memoryNeed(pods, policies);
  const size = `a cluster of ${counted(pods, 'pod')} and ${counted(policies, 'policy', 'policies')}`;
  const needs = `an agent takes up to about ${mib(need)} in ${size}`;
  if (limit === undefined) return finding('memory-limit', 'ok', 'likely', `The agent has no memory limit; ${needs}.`);
  const advice = `Set resources.limits.memory of the DaemonSet to ${mib(Math.ceil((need * 1.5) / (64 * MIB)) * 64 * MIB)} or more.`;
  if (limit < need) {
    const then =
      'The kernel may kill the agent during a large change; new connections of isolated pods are then dropped until it is back.';
    return finding(
      'memory-limit',
      'problem',
      'likely',
      `The memory limit is ${mib(limit)}, and ${needs}. ${then}`,
      advice,
    );
  }
  if (limit < need * ROOM) {
    return finding(
      'memory-limit',
      'warning',
      'likely',
      `The memory limit, ${mib(limit)}, leaves little room: ${needs}.`,
      advice,
    );
  }
  return finding('memory-limit', 'ok', 'likely', `The memory limit of ${mib(limit)} suffices: ${needs}.`);
}

/**
 * Reads the memory limit of this process, of its own cgroup and all above it: /proc/self/cgroup,
 * and the files of cgroup v2 (memory.max) or v1 (memory.limit_in_bytes).
 * @param read returns a file's text, or undefined if the file does not exist
 * @returns bytes; undefined if there is no limit
 */
export function readMemoryLimit(read: (path: string) => string | undefined): number | undefined {
  const limits: number[] = [];
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    if (controllers === '') limits.push(...limitsAlong('/sys/fs/cgroup', path, 'memory.max', read));
    else if (controllers.split(',').includes('memory')) {
      limits.push(...limitsAlong('/sys/fs/cgroup/memory', path, 'memory.limit_in_bytes', read));
    }
  }
  const least = Math.min(...limits);
  return Number.isFinite(least) ? least : undefined;
}

/** v1 writes "no limit" as the largest multiple of the page size that fits into 63 bits. */
const NO_LIMIT = 2 ** 60;

/**
 * In a container the path of /proc/self/cgroup may be the host's while the container's own cgroup
 * is mounted as the root: then the root's files count.
 */
function limitsAlong(root: string, path: string, file: string, read: (path: string) => string | undefined): number[] {
  const limits: number[] = [];
  const parts = path.split('/').filter((part) => part !== '');
  for (let length = parts.length; length >= 0; length--) {
    const text = read([root, ...parts.slice(0, length), file].join('/'))?.trim();
    const limit = text === undefined || text === 'max' ? Number.NaN : Number(text);
    if (limit > 0 && limit < NO_LIMIT) limits.push(limit);
  }
  return limits;
}

/**
 * Converts a quantity of the Kubernetes API (`1Gi`, `512M`, `1e9`) to bytes; undefined if it is not
 * a quantity.
 */
export function bytesOf(quantity: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?(?:[eE]\d+)?)(m|[kMGTPE]i?|Ki)?$/.exec(quantity.trim());
  if (match === null) return undefined;
  const unit = match[2] ?? '';
  if (unit === 'm') return Number(match[1]) / 1000;
  const power = ['', 'K', 'M', 'G', 'T', 'P', 'E'].indexOf(unit.charAt(0).toUpperCase());
  return Number(match[1]) * (unit.endsWith('i') ? 1024 : 1000) ** power;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

/** Other processes of the node, from /proc: without hostPID a pod sees only its own. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { System } from '../dataplane/steering/run.ts';

export interface ProcessName {
  readonly pid: number;
  /** As the kernel truncates it: 15 characters. */
  readonly name: string;
}

/** linux/netlink.h */
const NETLINK_NETFILTER = 12;

/**
 * Maps netlink ports of this network namespace's netfilter sockets to the visible processes that
 * hold them.
 */
export function netlinkHolders(system: System): ReadonlyMap<number, ProcessName> {
  const ports = new Map<string, number>();
  // sk, protocol, port, groups, memory twice, dump, locks, drops, inode (netlink_native_seq_show in
  // the kernel's af_netlink.c).
  for (const line of (system.read('/proc/thread-self/net/netlink') ?? '').split('\n')) {
    const [, protocol, port, , , , , , , inode] = line.trim().split(/\s+/);
    if (Number(protocol) === NETLINK_NETFILTER) ports.set(`socket:[${inode}]`, Number(port));
  }
  const holders = new Map<number, ProcessName>();
  for (const pid of pids()) {
    for (const socket of socketsOf(pid)) {
      const port = ports.get(socket);
      if (port !== undefined) holders.set(port, { pid, name: nameOf(pid) ?? '?' });
    }
  }
  return holders;
}

/** Returns the ids of processes with these names in this process's network namespace. */
export function processesNamed(names: readonly string[]): number[] {
  const own = link('/proc/self/ns/net');
  return pids().filter((pid) => names.includes(nameOf(pid) ?? '') && link(`/proc/${pid}/ns/net`) === own);
}

function pids(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0);
}

function nameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Returns nothing for a process that has ended or may not be read. */
function socketsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => link(`/proc/${pid}/fd/${fd}`) ?? []);
  } catch {
    return [];
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
